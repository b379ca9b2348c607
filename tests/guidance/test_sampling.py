"""Led sampling inside ComfyUI: where it acts, what it leaves behind, and beside what it works."""

from __future__ import annotations

import gc
import itertools
import types

import comfy.model_management
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfyui_softrepa import guidance
from comfyui_softrepa.guidance import attend
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.apply_conditioning import SoftREPAApplyConditioning
from comfyui_softrepa.nodes.guidance.attend import SoftREPAAttendAndExcite
from comfyui_softrepa.tests import adapters, golden_models, small_models
from comfyui_softrepa.tests.control import partners
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.tests.guidance import small_unet as small

DEFAULTS = {
    "words": "", "loss": "published", "step_size": 20.0, "share_of_steps": 0.5,
    "thresholds": "", "tries": 20,
}  # fmt: skip


def led(patcher, clip, prompt=small.PROMPT, **settings):
    """What the node gives."""
    return SoftREPAAttendAndExcite.execute(patcher, clip, prompt, **{**DEFAULTS, **settings}).args[
        0
    ]


@pytest.fixture(scope="module")
def plain(patcher, clip):
    return small.sample(patcher, clip)


class Losses(list):
    """The losses of a run, in order."""


@pytest.fixture
def losses(monkeypatch):
    found, compute = Losses(), attend.Attend._gradient

    def kept(self, *given):
        loss, gradient = compute(self, *given)
        found.append(loss)
        return loss, gradient

    monkeypatch.setattr(attend.Attend, "_gradient", kept)
    return found


@pytest.mark.parametrize("loss", guidance.LOSSES)
def test_each_loss_moves_the_picture_and_gets_less(patcher, clip, plain, losses, loss):
    found = small.sample(led(patcher, clip, loss=loss, step_size=2.0), clip)
    assert torch.isfinite(found).all()
    assert relative_error(found, plain) > 1e-4
    assert len(losses) == 2  # half of four steps
    begun = losses[0]
    losses.clear()
    # The same step again and again, as a refinement does, comes down.
    plan = guidance.plan(patcher.model, clip, small.PROMPT, loss=loss, step_size=2.0)
    guider = types.SimpleNamespace(
        inner_model=patcher.model, conds={"positive": conditioning(patcher, clip)}
    )
    patcher.model.current_patcher = patcher
    latent, sigma = small.latents(2, 16), torch.tensor([14.6])
    scale = (sigma**2 + 1).sqrt()
    for _ in range(6):
        _, gradient = plan._gradient(guider, latent, scale, sigma, {})
        latent = latent - 2.0 * gradient
    assert losses[-1] < losses[0]
    assert begun != losses[-1]


def conditioning(patcher, clip):
    from comfy.conds import CONDCrossAttn

    [[text, _]] = clip.prompt(small.PROMPT)
    return [{"cross_attn": text, "model_conds": {"c_crossattn": CONDCrossAttn(text)}, "uuid": 1}]


def test_nothing_to_do_is_the_model_bit_for_bit(patcher, clip, plain, losses):
    assert torch.equal(small.sample(led(patcher, clip, step_size=0.0), clip), plain)
    losses.clear()
    assert torch.equal(small.sample(led(patcher, clip, share_of_steps=0.0), clip), plain)
    assert not losses


def test_thresholds_are_shares_of_the_steps(patcher, clip, losses):
    """At the second of four steps the picture is moved until the word is attended to, or no more
    than so often; the others have a move each."""
    settings = {"thresholds": "0.25:1", "tries": 5, "share_of_steps": 0.75}
    small.sample(led(patcher, clip, **settings), clip)
    assert len(losses) == 1 + (1 + 5) + 1
    losses.clear()
    small.sample(led(patcher, clip, **{**settings, "thresholds": "0.25:0"}), clip)
    assert len(losses) == 3
    losses.clear()
    small.sample(led(patcher, clip, loss="overlap", **settings), clip)
    assert len(losses) == 3


def test_in_inference_mode_as_comfyui_runs_nodes(clip, patcher):
    expected = small.sample(led(patcher, clip, thresholds="0:0.5", tries=2), clip)
    with torch.inference_mode():
        made_there = small.patcher()
        assert next(made_there.model.parameters()).is_inference()
        for each in range(2):
            found = small.sample(led(made_there, clip, thresholds="0:0.5", tries=2), clip)
            assert relative_error(found, expected) < 1e-4, each
    weights = list(made_there.model.parameters())
    assert not any(each.requires_grad or each.grad is not None for each in weights)


def test_no_gradient_hook_or_patch_is_left(patcher, clip, plain):
    def state():
        modules = list(patcher.model.modules())
        return (
            [bool(each._forward_hooks or each._forward_pre_hooks) for each in modules],
            [each.__dict__.get("forward") for each in modules],
            [(id(each), each.requires_grad, each.grad) for each in patcher.model.parameters()],
            str(patcher.model_options),
            str(patcher.wrappers),
        )

    small.sample(patcher, clip)
    before = state()
    model = led(patcher, clip, thresholds="0:0.9", tries=2)
    options = str(model.model_options)
    found = small.sample(model, clip)
    assert state() == before
    assert str(model.model_options) == options
    assert not found.requires_grad
    gc.collect()
    alive = [each for each in gc.get_objects() if isinstance(each, torch.Tensor)]
    assert not [each for each in alive if each.grad_fn is not None]
    assert torch.equal(small.sample(patcher, clip), plain)


def test_an_interrupt_in_mid_refinement_ends_it_and_leaves_all_well(patcher, clip, losses):
    model = led(patcher, clip, thresholds="0:1", tries=20)
    expected = small.sample(model, clip)
    losses.clear()
    interrupted = led(patcher, clip, thresholds="0:1", tries=20)

    def interrupt(executor, *given, **named):
        if len(losses) == 3:
            comfy.model_management.interrupt_current_processing()
        return executor(*given, **named)

    interrupted.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "test", interrupt)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        small.sample(interrupted, clip)
    assert len(losses) <= 4
    assert not comfy.model_management.interrupt_processing
    assert torch.equal(small.sample(model, clip), expected)


def test_pictures_of_a_batch_are_those_made_alone(patcher, clip):
    model = led(patcher, clip, thresholds="0:0.02", tries=3)
    noise = small.seeded("batch", (3, 4, 16, 16), 1)
    together = small.sample(model, clip, batch=3, noise=noise)
    for each in range(3):
        alone = small.sample(model, clip, noise=noise[each : each + 1])
        assert relative_error(together[each : each + 1], alone) < 1e-3


@pytest.mark.parametrize(
    "sampler", ["euler_ancestral", "dpmpp_2m", "heun", "euler_cfg_pp", "uni_pc", "dpmpp_sde"]
)
def test_with_other_samplers(patcher, clip, sampler):
    settings = {"sampler": sampler, "steps": STEPS}
    found = small.sample(led(patcher, clip), clip, **settings)
    assert torch.isfinite(found).all()
    assert relative_error(found, small.sample(patcher, clip, **settings)) > 1e-4


def test_the_sampler_goes_on_from_the_moved_picture(patcher, clip):
    """After the last moved step Euler's own formula, from the moved latent, gives the next."""
    seen = []

    def keep(executor, x, sigma, *given, **named):
        found = executor(x, sigma, *given, **named)
        seen.append((x.clone(), sigma.clone(), found.clone()))
        return found

    model = patcher.clone()
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "test", keep)
    small.sample(led(model, clip), clip)
    for (x, sigma, denoised), (following, lower, _) in itertools.pairwise(seen[1:]):
        step = x + (x - denoised) / sigma * (lower - sigma)
        # The first of these two is moved and the second is not, from the second step on.
        assert relative_error(following, step) < 1e-5


@pytest.mark.parametrize("strength_as", ["blend", "attention"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_with_an_adapter_on_the_model_or_on_the_prompt(patcher, clip, strength, strength_as):
    adapter = adapters.random_adapter("unet", 768, 1, tokens=3, scale=1.0)
    given = (adapter, strength, 0.0, 1.0, "")
    on_model = SoftREPAApply.execute(patcher, *given, strength_as=strength_as).args[0]
    prompt = clip.prompt(small.PROMPT)
    on_prompt = SoftREPAApplyConditioning.execute(
        prompt, *given, "positive", strength_as=strength_as
    )
    for model, positive in ((on_model, prompt), (patcher, on_prompt.args[0])):
        settings = {"positive": positive, "steps": STEPS}
        alone = small.sample(model, clip, **settings)
        found = small.sample(led(model, clip, step_size=5.0), clip, **settings)
        assert torch.isfinite(found).all()
        assert relative_error(found, alone) > 1e-4
    after = SoftREPAApply.execute(
        led(patcher, clip, step_size=5.0), *given, strength_as=strength_as
    ).args[0]
    before = led(on_model, clip, step_size=5.0)
    found = [small.sample(model, clip, steps=STEPS) for model in (after, before)]
    assert torch.equal(*found)


@pytest.mark.parametrize("strength_as", ["blend", "attention"])
def test_with_another_strength_on_the_negative_prompt(patcher, clip, strength_as):
    """The prompt is led by its own attention, in which the adapter has its whole strength."""
    adapter = adapters.random_adapter("unet", 768, 1, tokens=3, scale=1.0)
    (on_model,) = SoftREPAApply.execute(
        patcher, adapter, 0.8, 0.0, 1.0, "", strength_as=strength_as, negative_share=0.5
    ).args
    on_prompts = {
        name: SoftREPAApplyConditioning.execute(
            clip.prompt(text), adapter, strength, 0.0, 1.0, "", "positive", strength_as=strength_as
        ).args[0]
        for name, text, strength in (("positive", small.PROMPT, 0.8), ("negative", "blurred", 0.4))
    }
    found = small.sample(led(on_model, clip, step_size=5.0), clip, steps=STEPS)
    expected = small.sample(led(patcher, clip, step_size=5.0), clip, steps=STEPS, **on_prompts)
    assert relative_error(found, expected) < 1e-4
    assert relative_error(found, small.sample(on_model, clip, steps=STEPS)) > 1e-4


STEPS = 2
"""Enough where it is asked whether both act: the first is led."""
BESIDE = [partner for partner in partners.PARTNERS if "sd15" in partner.archs]


@pytest.mark.parametrize("partner", BESIDE, ids=lambda partner: partner.name)
def test_beside_other_packs(patcher, clip, partner, losses):
    size = max(16, partner.size)
    [[text, rest]] = clip.prompt(small.PROMPT)
    positive = [[partner.text(text) if partner.text else text, rest]]
    [[text, rest]] = clip.prompt("blurred")
    negative = [[partner.text(text) if partner.text else text, rest]]
    settings = {"side": size, "positive": positive, "negative": negative, "steps": STEPS}
    alone = small.sample(partner.patch(patcher), clip, **settings)
    reader = clip if partner.text is None else Read(positive)
    for model in (led(partner.patch(patcher), reader), partner.patch(led(patcher, reader))):
        found = small.sample(model, clip, **settings)
        assert torch.isfinite(found).all()
        assert relative_error(found, alone) > 1e-5
    assert losses[0] > 0.0


class Read(small.Clip):
    """A CLIP that another pack has changed."""

    def __init__(self, prompt):
        super().__init__()
        self._prompt = prompt

    def encode_from_tokens_scheduled(self, tokens):
        return self._prompt


def test_sdxl():
    golden = golden_models.load("sdxl_110")
    reader = small.Clip(2048, 1280)
    settings = {"positive": reader.prompt(small.PROMPT), "negative": reader.prompt("blurred")}
    settings["steps"] = STEPS
    alone = small.sample(golden.patcher, reader, **settings)
    found = small.sample(led(golden.patcher, reader, thresholds="0:0.5"), reader, **settings)
    assert torch.isfinite(found).all()
    assert relative_error(found, alone) > 1e-4
    comfy.model_management.unload_all_models()


def test_a_long_prompt(patcher, clip, losses):
    text = ", ".join(["in the forest of a far land"] * 14) + " a red cat and a blue dog"
    model = led(patcher, clip, text, words="red cat, blue dog", step_size=2.0)
    found = small.sample(model, clip, text=text)
    assert relative_error(found, small.sample(patcher, clip, text=text)) > 1e-4
    assert len(losses) == 2


def test_where_memory_is_short_it_is_computed_again(patcher, clip, monkeypatch, losses):
    expected = small.sample(led(patcher, clip), clip)
    compute, failed = attend.Attend._gradient, []

    def short_once(self, *given):
        if len(failed) < 2:
            failed.append(1)
            if len(failed) == 1:
                raise torch.cuda.OutOfMemoryError("no more")
        return compute(self, *given)

    monkeypatch.setattr(attend.Attend, "_gradient", short_once)
    assert torch.equal(small.sample(led(patcher, clip), clip), expected)
    assert len(failed) == 2


def test_another_prompt_is_refused_before_the_first_step(patcher, clip, losses):
    with pytest.raises(guidance.GuidanceError, match="connect one text"):
        small.sample(led(patcher, clip), clip, text="a yellow hat")
    assert not losses
    longer = clip.prompt(small.PROMPT)
    longer[0][0] = torch.cat((longer[0][0], small.context("style")), 1)  # ConditioningConcat
    small.sample(led(patcher, clip), clip, positive=longer, negative=clip.prompt("blurred"))
    assert losses


@pytest.mark.parametrize("name", ["flux", "wan"])
def test_models_without_cross_attention_maps_are_refused(clip, name):
    with pytest.raises(guidance.GuidanceError, match="SD1.x, SD2.x or SDXL"):
        led(small_models.load(name).patcher, clip)


def test_sd3_is_refused(clip):
    golden = golden_models.load("sd3_d2l2_128")
    with pytest.raises(guidance.GuidanceError, match=r"\(SD3\)"):
        led(golden.patcher, clip)


def test_the_node_says_what_it_looks_after(patcher, clip):
    _, words = SoftREPAAttendAndExcite.execute(patcher, clip, small.PROMPT, **DEFAULTS).args
    assert words == "red cat, blue dog"


def test_inpainting_keeps_what_is_masked(patcher, clip):
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1.0
    settings = {"mask": mask, "steps": STEPS}
    alone = small.sample(patcher, clip, **settings)
    found = small.sample(led(patcher, clip), clip, **settings)
    assert relative_error(found[..., :8], alone[..., :8]) > 1e-4
    assert torch.equal(found[..., 8:], alone[..., 8:])
