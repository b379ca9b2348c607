"""The node's own computation, held against diffusers' pipeline and a plain loop of the tests' own.

tests/data/attend_and_excite.py makes the file with diffusers' numbers, on the same weights.
"""

from __future__ import annotations

import json
from pathlib import Path

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfyui_softrepa import guidance
from comfyui_softrepa.guidance.losses import published
from comfyui_softrepa.guidance.maps import unet as attention_maps
from comfyui_softrepa.guidance.maps.call import Complete, _options
from comfyui_softrepa.guidance.prompt.places import Places, Thing
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.tests.guidance import small_unet as small
from safetensors import safe_open

FILE = Path(__file__).parents[1] / "data" / "attend_and_excite.safetensors"


@pytest.fixture(scope="module")
def golden():
    with safe_open(FILE, framework="pt") as file:
        about = json.loads(file.metadata()["golden"])
        return about, {key: file.get_tensor(key) for key in file.keys()}


@pytest.fixture(scope="module")
def places(golden):
    things = tuple(Thing((token,)) for token in golden[0]["tokens"])
    return Places(things, tuple(range(1, 10)), tuple(range(1, 76)), 77)


@pytest.fixture(scope="module")
def patcher():
    return small.patcher()


def test_losses_and_gradients_are_diffusers(golden, places, patcher):
    sampling = patcher.model.model_sampling
    for index, time in enumerate(small.TIMES):
        latents = small.latents(2).requires_grad_()
        sigma = sampling.sigmas[time : time + 1]
        recorder = attention_maps.Recorder(77)
        options = _options({}, recorder)["transformer_options"]
        x = latents * (sigma**2 + 1).sqrt()
        with pytest.raises(Complete):
            patcher.model.apply_model(
                x, sigma, c_crossattn=small.context("positive"), transformer_options=options
            )
        loss = published(recorder.mean(), places)
        gradient = torch.autograd.grad(loss, latents)[0]
        assert float(loss) == pytest.approx(float(golden[1]["losses"][index]), abs=1e-6)
        assert relative_error(gradient, golden[1]["gradients"][index]) < 1e-4


def test_sampling_with_refinement_is_diffusers(golden, places, patcher):
    about, stored = golden
    plan = guidance.Attend(
        places,
        small.context("positive"),
        "",
        step_size=about["step_size"],
        thresholds=tuple(map(tuple, about["thresholds"])),
    )
    sampled = comfy.sample.sample_custom(
        guidance.apply(patcher, plan),
        small.latents(1),
        about["guidance"],
        comfy.samplers.sampler_object("euler"),
        stored["sigmas"],
        [[small.context("positive"), {}]],
        [[small.context("negative"), {}]],
        torch.zeros(1, 4, 32, 32),
        disable_pbar=True,
        seed=1,
    )
    # ComfyUI gives latents outside of the network's scale.
    sampled = sampled * patcher.model.latent_format.scale_factor
    assert relative_error(sampled, stored["sampled"]) < 1e-3
