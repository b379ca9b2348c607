"""The U-Net base's small network computes what ComfyUI's SD1.x U-Net does with its weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.models.base import clip
from comfyui_softrepa.demo.models.base import join as sd3
from comfyui_softrepa.demo.models.unet_base import join, network, train, vae
from comfyui_softrepa.demo.models.unet_base.short import BLOCKS, Unet
from comfyui_softrepa.demo.rivals.samplers import attention, guidance
from comfyui_softrepa.demo.rivals.samplers.attention import GRADIENTS, LED
from comfyui_softrepa.demo.rivals.samplers.guidance import SAMPLERS
from comfyui_softrepa.guidance import Attend, apply, plan
from comfyui_softrepa.softrepa.adapter import Adapter
from comfyui_softrepa.tests.short_steps import hold_a_step_against_the_trainers
from safetensors.torch import load_file

PROMPTS = ["two red circles left of a blue square two red circles left of a blue square", "", "a"]
SAMPLING = evaluate.sampling(steps=4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in which every weight is in play, so that none goes unseen."""
    torch.manual_seed(0)
    small = network.UNet()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("unet") / "unet.safetensors"
    train.keep(small.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def base(weights: Path) -> evaluate.Base:
    """That network as CheckpointLoaderSimple loads it."""
    return evaluate.load(join.make_checkpoint(weights.with_name("demo.safetensors"), weights))


@pytest.fixture(scope="module")
def model(weights: Path) -> Unet:
    return Unet.load(weights, precision=torch.float32)


def test_comfyui_takes_it_for_sd1(base: evaluate.Base):
    import comfy.supported_models
    import comfy.taesd.taesd
    from comfyui_softrepa.injection.architectures import unet

    assert type(base.model.model.model_config) is comfy.supported_models.SD15
    assert unet.matches(base.model.model) and unet.blocks(base.model.model) == BLOCKS
    assert isinstance(base.vae.first_stage_model, comfy.taesd.taesd.TAESD)
    torch.testing.assert_close(base.model.model.model_sampling.sigmas, train.sigmas())


def test_the_weights_of_both_bases_are_small_and_half_precision(weights: Path):
    for file in (weights, join.VAE):
        assert {value.dtype for value in load_file(file).values()} == {torch.float16}
    assert sum(file.stat().st_size for file in (weights, join.VAE, sd3.MMDIT, sd3.VAE)) <= 20e6


def test_among_zeros_it_computes_the_same(base: evaluate.Base, model: Unet):
    x, t = torch.randn(3, network.CHANNELS, 8, 8), torch.tensor([20.0, 500.0, 999.0])
    context = torch.cat(
        [base.clip.encode_from_tokens(base.clip.tokenize(text), True)[0] for text in PROMPTS]
    )
    assert context.shape == (3, clip.LENGTH, clip.WIDTH)
    with torch.inference_mode():
        whole = base.model.model.diffusion_model(x, t, context=context)
        short = model.network(x, t, network.Text(*model.prompts.encode(PROMPTS)))
        other = model.network(x, t, network.Text(*model.prompts.encode(PROMPTS[::-1])))
    torch.testing.assert_close(short, whole, atol=1e-4, rtol=1e-3)
    assert float((short - other).abs().max()) > 0.01


@pytest.mark.parametrize(("sampler", "scale"), [("CFG++", 1.5), ("PAG", 2.0)])
def test_other_guidance_is_comfyuis(base: evaluate.Base, model: Unet, sampler: str, scale: float):
    from comfy_extras.nodes_pag import PerturbedAttentionGuidance

    prompts = [world.caption(scene) for scene in world.held_out_scenes(2, seed=0)]
    settings, led = guidance.at(SAMPLING, scale), SAMPLERS["CFG++"][0]
    if sampler != "CFG++":
        settings, led = SAMPLING, partial(guidance.weakened, scale=scale, passes=Counter())
    painted = model.paint(prompts, [1, 2], settings=settings, sampler=led)
    patched, told = base.model, replace(settings, sampler="euler_cfg_pp")
    if sampler != "CFG++":
        (patched,) = PerturbedAttentionGuidance.execute(base.model, scale).args
        told = SAMPLING
    expected = evaluate.paint(base, prompts, [1, 2], told, patched).astype(int)
    plain = model.paint(prompts, [1, 2], settings=SAMPLING).astype(int)
    assert np.abs(painted.astype(int) - expected).max() <= 2
    assert np.abs(plain - expected).max() > 10


@pytest.mark.parametrize(
    ("name", "size", "strength"),
    [
        ("Attend-and-Excite", 2.0, 0.5),
        ("Attend-and-Excite, pairs", 0.5, 1.0),
        ("Attend-and-Excite, overlap", 5.0, 0.0),
    ],
)
def test_attend_and_excite_is_the_nodes(
    base: evaluate.Base,
    model: Unet,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    size: float,
    strength: float,
):
    """Two prompts at once against each with a node of its own; with as many passes."""
    monkeypatch.setattr(attention, "TRIES", 2)
    passes, found = Counter(), []
    gradient = Attend._gradient
    monkeypatch.setattr(Attend, "_gradient", lambda *all: found.append(1) or gradient(*all))
    prompts = [world.caption(scene) for scene in world.held_out_scenes(2, seed=0)]
    adapter, patched = (None, base.model) if strength == 0.0 else adapted(base, strength)
    expected = []
    for seed, prompt in enumerate(prompts):
        settings = {"loss": LED[name].loss, "step_size": size, "tries": 2}
        led = apply(patched, plan(base.model.model, base.clip, prompt, **settings))
        expected += [*evaluate.paint(base, [prompt], [seed], SAMPLING, led)]
    sampler = partial(LED[name], scale=size, passes=passes)
    how = {"adapter": adapter, "settings": SAMPLING, "strength": strength}
    painted = model.paint(prompts, [0, 1], **how, sampler=sampler).astype(int)
    plain = model.paint(prompts, [0, 1], **how).astype(int)
    assert np.abs(painted - np.stack(expected).astype(int)).max() <= 2
    assert np.abs(painted - plain).max() > 10
    assert passes[GRADIENTS] == len(found) >= 4


def adapted(
    base: evaluate.Base, strength: float, strength_as: str = "blend", seed: int = 1
) -> tuple[Adapter, Any]:
    """Tokens after BOS in the down and up blocks, and the base's model with them."""
    generator = torch.Generator().manual_seed(seed)
    adapter = Adapter(
        tokens=torch.randn((1, 1, 4, clip.WIDTH), generator=generator),
        offsets=torch.randn((1, 100, 1, clip.WIDTH), generator=generator),
        architecture="unet",
        placement="after_bos",
        layers=("input", "output"),
    )
    application = injection.make_application(
        base.model.model, adapter, strength, strength_as=strength_as
    )
    return adapter, injection.apply(base.model, application)


@pytest.mark.parametrize(
    ("strength", "strength_as"), [(1.0, "blend"), (0.5, "blend"), (0.5, "attention")]
)
def test_it_paints_what_the_nodes_paint(
    base: evaluate.Base, model: Unet, strength: float, strength_as: str
):
    adapter, patched = adapted(base, strength, strength_as)
    prompts = [world.caption(scene) for scene in world.held_out_scenes(3, seed=0)]
    expected = evaluate.paint(base, prompts, [1, 2, 3], SAMPLING, patched).astype(int)
    painted = model.paint(prompts, [1, 2, 3], adapter, SAMPLING, strength, strength_as)
    plain = model.paint(prompts, [1, 2, 3], None, SAMPLING).astype(int)
    assert np.abs(painted.astype(int) - expected).max() <= 2
    assert np.abs(plain - expected).max() > 20


def test_two_adapters_act_as_two_nodes(base: evaluate.Base, model: Unet):
    under, _ = adapted(base, 1.0, seed=2)
    over, _ = adapted(base, 0.5)
    patched = base.model
    for adapter, strength in ((under, 1.0), (over, 0.5)):
        application = injection.make_application(base.model.model, adapter, strength)
        patched = injection.apply(patched, application)
    prompts = [world.caption(scene) for scene in world.held_out_scenes(2, seed=0)]
    expected = evaluate.paint(base, prompts, [1, 2], SAMPLING, patched).astype(int)
    painted = model.paint(prompts, [1, 2], over, SAMPLING, 0.5, beneath=under).astype(int)
    assert np.abs(painted - expected).max() <= 2
    for one in (under, over):
        assert np.abs(model.paint(prompts, [1, 2], one, SAMPLING).astype(int) - expected).max() > 10


@pytest.mark.parametrize("objective", ["softrepa", "agsm"])
def test_a_step_of_the_sweeps_training_is_the_trainers(
    base: evaluate.Base, model: Unet, objective: str
):
    hold_a_step_against_the_trainers(base, model, objective, layers="input")


def test_the_network_sees_the_encoders_latents(base: evaluate.Base):
    scene = next(world.all_scenes("train"))
    drawn = np.array(world.render(scene, np.random.default_rng(0)))
    pixels = torch.from_numpy(drawn)[None].float() / 255
    latents = base.model.model.process_latent_in(base.vae.encode(pixels))
    with torch.inference_mode():
        expected = vae.model(join.VAE)["encoder"](pixels.permute(0, 3, 1, 2))
        shown = base.vae.decode(base.vae.encode(pixels))
    torch.testing.assert_close(latents, expected, atol=1e-3, rtol=1e-3)
    assert float((shown - pixels).abs().mean()) < 0.02


def test_a_training_that_was_stopped_goes_on(tmp_path: Path):
    prompts, levels = train.Prompts.load(), train.sigmas()
    run = train.Run(seed=1)
    texts, x = prompts.encode(PROMPTS), torch.randn(3, network.CHANNELS, 8, 8)
    run.learn(x, texts, levels, 1.0)
    run.save(tmp_path / "state.pt")
    again = train.Run(seed=2)
    again.load(tmp_path / "state.pt")
    found = []
    for one in (run, again):
        torch.manual_seed(3)
        one.learn(x, texts, levels, 1.0)
        found.append(one)
    assert again.step == 2
    for left, right in zip(*(one.average.parameters() for one in found), strict=True):
        assert torch.equal(left, right)


def test_the_base_paints_held_out_prompts_far_above_chance():
    """A quick look, by the short forward; the whole table is in demo/models/unet_base/README.md."""
    scenes = world.held_out_scenes(16, seed=0)
    prompts = [world.caption(scene) for scene in scenes]
    pictures = Unet.load().paint(prompts, range(16), settings=evaluate.sampling(guidance=4.0))
    found = evaluate.rates(evaluate.verdicts(list(pictures), scenes))
    assert found["all"].share > 0.2
