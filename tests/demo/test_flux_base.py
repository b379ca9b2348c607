"""The Flux base: its short forward is ComfyUI's, and its training goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.supported_models
import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.base import clip, train
from comfyui_softrepa.demo.models.flux_base import gain, network, short
from comfyui_softrepa.demo.models.flux_base import train as flux
from comfyui_softrepa.demo.sweep import grid
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.golden_models import relative_error
from torch import Tensor

PROMPTS = ["two red circles left of a blue square", "", "a black triangle"]
TIMES = torch.tensor([0.02, 0.5, 1.0])


@pytest.fixture(scope="module")
def model() -> short.Flux:
    return short.Flux.load(precision=torch.float32)


@pytest.fixture(scope="module")
def patcher(model: short.Flux) -> Any:
    """The same weights in ComfyUI's model, as its loader would choose it."""
    config = comfy.supported_models.FluxSchnell({"image_model": "flux", **network.parameters()})
    config.unet_config = {"image_model": "flux", **network.parameters(), "dtype": torch.float32}
    made = config.get_model({}, device=None)
    made.diffusion_model.load_state_dict(model.network.state_dict())
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(made, cpu, cpu)


def whole(texts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """With all of the padding that the short inputs stand for."""
    context, pooled = texts
    rest = context[:, -1:].expand(-1, clip.LENGTH - context.shape[1], -1)
    return torch.cat((context, rest), dim=1), pooled


def predict(patcher: Any, x: Tensor, texts: tuple[Tensor, Tensor]) -> Tensor:
    context, pooled = whole(texts)
    options = patcher.model_options["transformer_options"]
    with torch.no_grad():
        denoised = patcher.model.apply_model(
            x, TIMES, c_crossattn=context, y=pooled, transformer_options=options
        )
    return (x - denoised) / TIMES[:, None, None, None]


@pytest.mark.parametrize(
    ("strength", "strength_as"), [(None, ""), (1.0, "blend"), (0.5, "blend"), (0.5, "attention")]
)
def test_the_short_forward_is_comfyuis(
    model: short.Flux, patcher: Any, strength: float | None, strength_as: str
):
    x = torch.randn((3, 16, 8, 8), generator=torch.Generator().manual_seed(1))
    texts, tokens, how = model.prompts.encode(PROMPTS), {}, {}
    if strength is not None:
        adapter = random_adapter("flux", network.HIDDEN, 2, timed=False, scale=2.0)
        application = injection.make_application(
            patcher.model, adapter, strength, strength_as=strength_as
        )
        patcher = injection.apply(patcher, application)
        tokens = {block: adapter.tokens[:, block] for block in (0, 1)}
        how = {"weight" if strength_as == "attention" else "strength": strength}
    expected = predict(patcher, x, texts)
    found = network.velocity(model.network, x, 1000 * TIMES, *texts, tokens, **how)
    assert relative_error(found, expected) < 1e-4
    bare = network.velocity(model.network, x, 1000 * TIMES, *texts)
    assert (relative_error(found, bare) > 1e-3) == (strength is not None)


def test_its_prompts_are_what_comfyuis_clip_gives(model: short.Flux):
    import comfy.sd

    kind = comfy.sd.CLIPType.STABLE_DIFFUSION
    loaded = comfy.sd.load_text_encoder_state_dicts([clip.state()], clip_type=kind)
    encoded = [loaded.encode_from_tokens(loaded.tokenize(text), True) for text in PROMPTS]
    context, pooled = (torch.cat(parts) for parts in zip(*encoded, strict=True))
    found = whole(model.prompts.encode(PROMPTS))
    torch.testing.assert_close(found[0], context.float(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1], pooled.float(), atol=1e-4, rtol=1e-4)


def test_comfyui_takes_the_file_for_flux():
    import comfy.sd
    from comfy.model_detection import detect_unet_config
    from safetensors.torch import load_file

    found = detect_unet_config(load_file(flux.FLUX), "")
    if found["num_heads"] != 1:
        pytest.skip("this ComfyUI knows Flux at its full width only")
    loaded = comfy.sd.load_diffusion_model(str(flux.FLUX))
    assert type(loaded.model.model_config) is comfy.supported_models.FluxSchnell
    assert loaded.get_model_object("model_sampling").shift == short.Flux.SHIFT


def test_its_row_is_what_was_found():
    page = (gain.RESULTS.parents[2] / "RESULTS.md").read_text(encoding="utf-8")
    assert gain.table() in page and gain.branches_table() in page
    assert {entry["flags"]["seed"] for entry in grid.read(gain.RESULTS)} == set(gain.SEEDS)


def test_levels_are_the_samplers(model: short.Flux, patcher: Any):
    torch.testing.assert_close(model.sigmas, patcher.model.model_sampling.sigmas)


def trained(
    prompts: train.Prompts, steps: int, state: Path | None, stop: int | None = None
) -> dict[str, Tensor]:
    torch.manual_seed(3)
    made = network.build()
    scenes = [*world.held_out_scenes(4, seed=0)]
    images = torch.randn((4, 16, 8, 8), generator=torch.Generator().manual_seed(4))
    data = train.batches(images, scenes, prompts, 1.0, 5)

    def until() -> Any:
        for count, batch in enumerate(data):
            if count == stop:
                raise KeyboardInterrupt
            yield batch

    return train.train(made, until(), steps, "test", flux.TRAINED, state)


def test_its_training_goes_on_from_its_state(
    model: short.Flux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train, "BATCH", 4)
    monkeypatch.setattr(train, "KEEP", 2)
    state = tmp_path / "state.pt"
    whole = trained(model.prompts, 5, None)
    start = network.build().state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in whole.items())
    with pytest.raises(KeyboardInterrupt):
        trained(model.prompts, 5, state, stop=3)
    again = trained(model.prompts, 5, state)
    for name, value in whole.items():
        assert torch.equal(again[name], value), name
