"""SoftREPAFlowEdit against formulas written here: on a toy velocity field, and on a small SD3."""

from __future__ import annotations

import comfy.model_management
import comfy.samplers
import pytest
import torch
from comfyui_softrepa.editing.stepping import (
    EditError,
    FlowAlign,
    Plan,
    Velocities,
    edit,
    flow_edit,
)
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.apply_conditioning import SoftREPAApplyConditioning
from comfyui_softrepa.nodes.flow_edit import SoftREPAFlowEdit
from comfyui_softrepa.tests import golden_models, small_models
from comfyui_softrepa.tests.adapters import random_adapter
from torch import Tensor

USUAL, AUTHORS = "uncond + s (cond - uncond)", "cond + s (cond - uncond)"
SETTINGS = {
    "seed": 7, "steps": 4, "scheduler": "normal", "n_min": 0, "n_max": 3, "n_avg": 1,
    "source_cfg": 1.5, "target_cfg": 4.5, "target_guidance": USUAL, "method": "FlowEdit",
    "zeta": 0.01,
}  # fmt: skip


def normal(shape, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# A curved field under each prompt: what points towards a centre, and turns.
def towards(centre: float):
    return lambda x, sigma: (x - centre) / (0.3 + sigma) + torch.sin(3 * x + sigma)


FIELDS = Velocities(towards(-1.0), towards(2.0))


@pytest.mark.parametrize("n_min", [0, 1, 3])
@pytest.mark.parametrize("n_avg", [1, 3])
@pytest.mark.parametrize("n_max", [4, 8, 20])
def test_flow_edit_is_the_paper_s(n_min, n_max, n_avg):
    source, steps = normal((2, 3, 4, 4), 1), 8
    sigmas = torch.linspace(1.0, 0.0, steps + 1)
    noises = [normal(source.shape, 100 + at) for at in range(steps * n_avg + 1)]

    left = iter(noises)
    found = edit(source, sigmas, Plan(n_min, n_max, n_avg), flow_edit, FIELDS, lambda: next(left))

    left, z, sampled = iter(noises), source.clone(), None
    for step, t in enumerate(sigmas[:-1]):
        remaining, after = steps - step, sigmas[step + 1]
        if remaining > n_max:
            continue
        if remaining > n_min:
            total = torch.zeros_like(source)
            for _ in range(n_avg):
                noisy = (1 - t) * source + t * next(left)
                total += FIELDS.target(z + noisy - source, t) - FIELDS.source(noisy, t)
            z = z + (after - t) * total / n_avg
        else:
            if sampled is None:
                sampled = z + (1 - t) * source + t * next(left) - source
            sampled = sampled + (after - t) * FIELDS.target(sampled, t)
    wanted = z if sampled is None else sampled
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert (found - source).norm() > 0.1 * source.norm()


def test_flow_align_is_its_authors_update():
    source, sigmas = normal((1, 4, 3, 3), 2), torch.linspace(1.0, 0.0, 6)
    noises = [normal(source.shape, at) for at in range(5)]
    left = iter(noises)
    found = edit(source, sigmas, Plan(0, 5), FlowAlign(0.2), FIELDS, lambda: next(left))
    x = source
    for at, noise in enumerate(noises):
        t, after = sigmas[at], sigmas[at + 1]
        q = (1 - t) * source + t * noise
        p = x + q - source
        v_p, v_q = FIELDS.target(p, t), FIELDS.source(q, t)
        x = x + (after - t) * (v_p - v_q) + 0.2 * ((q - t * v_q) - (p - t * v_p))
    torch.testing.assert_close(found, x, rtol=1e-5, atol=1e-5)


def test_equal_prompts_change_nothing_and_no_step_changes_nothing():
    source, sigmas = normal((1, 4, 3, 3), 3), torch.linspace(1.0, 0.0, 6)
    draws = iter(normal(source.shape, at) for at in range(20))
    same = Velocities(FIELDS.target, FIELDS.target)
    torch.testing.assert_close(
        edit(source, sigmas, Plan(0, 5), flow_edit, same, lambda: next(draws)), source
    )
    assert edit(source, sigmas, Plan(0, 0), flow_edit, FIELDS, lambda: next(draws)) is source


@pytest.mark.parametrize("n_min", [0, 2])
def test_outside_the_mask_nothing_changes(n_min):
    source, sigmas = normal((1, 4, 3, 3), 4), torch.linspace(1.0, 0.0, 6)
    mask = torch.zeros(1, 1, 3, 3)
    mask[..., :2] = 1.0
    draws = iter(normal(source.shape, at) for at in range(20))
    found = edit(source, sigmas, Plan(n_min, 5), flow_edit, FIELDS, lambda: next(draws), mask)
    assert torch.equal(found[..., 2:], source[..., 2:])
    assert (found[..., :2] - source[..., :2]).abs().min() > 0


def test_more_steps_of_sampling_than_take_part_are_refused():
    with pytest.raises(EditError, match="lower n_min or raise n_max"):
        Plan(5, 4)


# In ComfyUI


@pytest.fixture(scope="module")
def sd3():
    return golden_models.load("sd3_d2l2_128")


@pytest.fixture(scope="module")
def prompts(sd3):
    """Source, target and negative, of one length."""
    shape = (1, *sd3.context.shape[1:])
    return [
        [[normal(shape, at), {"pooled_output": normal((1, sd3.y.shape[1]), at)}]]
        for at in (11, 12, 13)
    ]


@pytest.fixture(scope="module")
def latent(sd3):
    return {"samples": normal((2, *sd3.x.shape[1:]), 20)}


def run(model, prompts, latent, **settings) -> Tensor:
    with torch.inference_mode():
        (found,) = SoftREPAFlowEdit.execute(
            model, *prompts, latent, **{**SETTINGS, **settings}
        ).args
    return found["samples"]


def velocity(model, x, sigma, prompt) -> Tensor:
    """What the model alone predicts under one prompt, as dx / dsigma."""
    (context, more) = prompt[0]
    with torch.inference_mode():
        denoised = model.model.apply_model(
            x,
            sigma.expand(len(x)),
            c_crossattn=context.expand(len(x), -1, -1),
            y=more["pooled_output"].expand(len(x), -1),
            transformer_options=model.model_options["transformer_options"],
        )
    return (x - denoised) / sigma


def by_hand(model, prompts, latent, **given) -> Tensor:
    """The edit, from the formulas of the papers and of SoftREPA's authors."""
    settings = {**SETTINGS, **given}
    source, target, negative = prompts
    form = model.model.latent_format
    clean = form.process_in(latent["samples"])
    generator = torch.Generator().manual_seed(settings["seed"])
    s = settings["target_cfg"]
    sampling = model.model.model_sampling
    z = clean
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", settings["steps"])
    for at in range(settings["steps"] - settings["n_max"], settings["steps"]):
        t, after = sigmas[at], sigmas[at + 1]
        q = (1 - t) * clean + t * torch.randn(clean.shape, generator=generator)
        p = z + q - clean
        cond = velocity(model, p, t, target)
        if settings["method"] == "FlowAlign":
            origin, v_q = velocity(model, p, t, source), velocity(model, q, t, source)
            v_p = origin + s * (cond - origin)
            pull = (q - t * v_q) - (p - t * v_p)
            z = z + (after - t) * (v_p - v_q) + settings["zeta"] * pull
            continue
        uncond = velocity(model, p, t, negative)
        start = uncond if settings["target_guidance"] == USUAL else cond
        there = start + s * (cond - uncond)
        cond, uncond = velocity(model, q, t, source), velocity(model, q, t, negative)
        z = z + (after - t) * (there - (uncond + settings["source_cfg"] * (cond - uncond)))
    return form.process_out(z)


@pytest.mark.parametrize("convention", [USUAL, AUTHORS])
@pytest.mark.parametrize("adapted", [False, True])
def test_the_node_is_the_formula(sd3, prompts, latent, convention, adapted):
    model = sd3.patcher
    if adapted:
        adapter = random_adapter("mmdit", sd3.tokens.shape[-1], 2, scale=2.0)
        (model,) = SoftREPAApply.execute(model, adapter, 1.0, 0.0, 1.0, "").args
    found = run(model, prompts, latent, target_guidance=convention)
    wanted = by_hand(model, prompts, latent, target_guidance=convention)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_node_s_flow_align_is_the_formula(sd3, prompts, latent):
    settings = {"method": "FlowAlign", "n_max": 4, "zeta": 0.05}
    found = run(sd3.patcher, prompts, latent, **settings)
    wanted = by_hand(sd3.patcher, prompts, latent, **settings)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_conventions_differ_by_one(sd3, prompts, latent):
    authors = run(sd3.patcher, prompts, latent, target_guidance=AUTHORS, target_cfg=3.5)
    usual = run(sd3.patcher, prompts, latent, target_cfg=4.5)
    assert torch.equal(authors, usual)
    assert not torch.equal(usual, run(sd3.patcher, prompts, latent, target_cfg=3.5))


@pytest.mark.parametrize("settings", [{}, {"n_min": 1, "n_avg": 2}, {"method": "FlowAlign"}])
def test_the_seed_alone_decides_and_no_other_noise_is_touched(sd3, prompts, latent, settings):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = run(sd3.patcher, prompts, latent, **settings)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(run(sd3.patcher, prompts, latent, **settings), first)
    assert not torch.equal(run(sd3.patcher, prompts, latent, **settings, seed=8), first)


def test_each_of_a_batch_is_what_it_is_alone(sd3, prompts, latent):
    both = run(sd3.patcher, prompts, latent)
    second = {"samples": latent["samples"][1:], "batch_index": [1]}
    torch.testing.assert_close(run(sd3.patcher, prompts, second), both[1:], rtol=1e-4, atol=1e-4)


def test_an_adapter_on_one_prompt_acts_on_that_one(sd3, prompts, latent):
    adapter = random_adapter("mmdit", sd3.tokens.shape[-1], 2, scale=2.0)
    settings = (adapter, 1.0, 0.0, 1.0, "", "positive")
    hooked = [SoftREPAApplyConditioning.execute(prompt, *settings).args[0] for prompt in prompts]
    (patched,) = SoftREPAApply.execute(sd3.patcher, *settings[:-1]).args
    everywhere = run(patched, prompts, latent)
    torch.testing.assert_close(run(sd3.patcher, hooked, latent), everywhere, rtol=1e-4, atol=1e-4)
    target_only = run(sd3.patcher, [prompts[0], hooked[1], prompts[2]], latent)
    assert not torch.allclose(target_only, everywhere, atol=1e-3)
    assert not torch.allclose(target_only, run(sd3.patcher, prompts, latent), atol=1e-3)


def test_the_mask_of_the_latent_holds(sd3, prompts, latent):
    mask = torch.ones(1, *latent["samples"].shape[2:])
    mask[..., 4:] = 0.0
    found = run(sd3.patcher, prompts, {**latent, "noise_mask": mask}, n_min=2)
    kept = latent["samples"][..., 4:]
    torch.testing.assert_close(found[..., 4:], kept, rtol=1e-5, atol=1e-5)
    assert (found[..., :4] - latent["samples"][..., :4]).norm() > 0.1


def test_it_stops_at_an_interrupt_and_leaves_the_model_as_it_was(sd3, prompts, latent):
    wanted = run(sd3.patcher, prompts, latent)
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(sd3.patcher, prompts, latent)
    assert torch.equal(run(sd3.patcher, prompts, latent), wanted)


def test_what_cannot_be_edited_is_refused_in_a_sentence(sd3, prompts, latent):
    with pytest.raises(EditError, match="flow models"):
        run(golden_models.load("sd15_111").patcher, prompts, latent)
    with pytest.raises(EditError, match="connect VAE Encode"):
        run(sd3.patcher, prompts, {"samples": torch.zeros_like(latent["samples"])})
    with pytest.raises(EditError, match="n_min"):
        run(sd3.patcher, prompts, latent, n_min=5)


@pytest.mark.parametrize(
    "name", ["flux", "chroma", "qwen_image", "lumina", "predict2", "wan", "aura_flow"]
)
def test_other_flow_models_edit_too(name):
    if not small_models.there(name):
        pytest.skip("not in this ComfyUI")
    small = small_models.load(name)
    more = {"pooled_output": normal((1, 24), 5)}
    three = [[[normal((1, 7, small.kind.context), at), more]] for at in (1, 2, 3)]
    samples = {"samples": normal((1, *small.kind.latent, *small.kind.size), 4)}
    found = run(small.patcher, three, samples, steps=3, n_max=2)
    assert found.shape == samples["samples"].shape and torch.isfinite(found).all()
    assert not torch.equal(found, samples["samples"])
    same = run(small.patcher, [three[0], three[0], three[2]], samples, steps=3, n_max=2,
               target_cfg=1.5)  # fmt: skip
    torch.testing.assert_close(same, samples["samples"], rtol=1e-3, atol=1e-3)
