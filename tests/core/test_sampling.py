"""ComfyUI's own sampling: guidance, lengths, chunks, batches, sizes, samplers, schedulers."""

from __future__ import annotations

import dataclasses

import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests.adapters import random_adapter

LONG = "a red circle to the left of two blue squares, " * 20


def _load(path, architecture, width, blocks):
    model, clip, _, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    adapter = random_adapter(architecture, width, blocks, scale=2.0)
    (patched,) = SoftREPAApply.execute(model, adapter, 1.0, 0.0, 1.0, "").args
    return model, patched, clip


@pytest.fixture(scope="module", params=["sd3", "sd15"])
def loaded(request):
    path = request.getfixturevalue(f"{request.param}_checkpoint")
    return _load(path, *{"sd3": ("mmdit", 128, 2), "sd15": ("unet", 768, 1)}[request.param])


def encode(clip, text):
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def sample(model, clip, positive="a red circle", negative="", shape=(1, 8, 8), steps=2,
           sampler="euler", scheduler="normal", cfg=3.0):  # fmt: skip
    latent = torch.zeros(shape[0], model.model.latent_format.latent_channels, *shape[1:])
    noise = comfy.sample.prepare_noise(latent, 1)
    return comfy.sample.sample(
        model, noise, steps, cfg, sampler, scheduler, encode(clip, positive),
        encode(clip, negative), latent, seed=1, disable_pbar=True,
    )  # fmt: skip


CASES = {
    "cond and uncond of different lengths": {"positive": LONG, "negative": "blurred"},
    "several chunks of 77 tokens on both": {"positive": LONG, "negative": LONG + "x"},
    "an empty prompt": {"positive": "", "negative": ""},
    "batch 4": {"shape": (4, 8, 8)},
    "wide": {"shape": (1, 8, 20)},
    "tall and odd": {"shape": (2, 14, 6)},
    "no guidance": {"cfg": 1.0},
}


@pytest.mark.parametrize("case", CASES)
def test_it_acts_whatever_the_shapes(loaded, case):
    model, patched, clip = loaded
    plain, found = sample(model, clip, **CASES[case]), sample(patched, clip, **CASES[case])
    assert torch.isfinite(found).all()
    assert (found - plain).norm() > 1e-3 * plain.norm()


@pytest.fixture(scope="module")
def sd3(sd3_checkpoint):
    """Samplers and schedulers know nothing of the architecture: the small model serves for all."""
    return _load(sd3_checkpoint, "mmdit", 128, 2)


@pytest.mark.parametrize("sampler", comfy.samplers.KSampler.SAMPLERS)
def test_every_sampler(sd3, sampler):
    model, patched, clip = sd3
    # At 64 pixels and 2 steps some samplers overflow with random weights, plain as patched.
    plain = sample(model, clip, sampler=sampler, steps=3)
    found = sample(patched, clip, sampler=sampler, steps=3)
    assert found.shape == plain.shape
    assert not torch.equal(found.nan_to_num(), plain.nan_to_num())


@pytest.mark.parametrize("scheduler", comfy.samplers.KSampler.SCHEDULERS)
def test_every_scheduler(sd3, scheduler):
    model, patched, clip = sd3
    plain = sample(model, clip, scheduler=scheduler, steps=3)
    found = sample(patched, clip, scheduler=scheduler, steps=3)
    assert torch.isfinite(found).all()
    assert not torch.equal(found, plain)


def test_the_checkpoint_gives_the_same_bits_afterwards(loaded):
    model, patched, clip = loaded
    before = sample(model, clip)
    assert not torch.equal(sample(patched, clip), before)
    assert torch.equal(sample(model, clip), before)


def test_the_seed_decides(loaded):
    _, patched, clip = loaded
    assert torch.equal(sample(patched, clip), sample(patched, clip))


def test_a_part_of_the_schedule_is_that_part(sd3):
    model, patched, clip = sd3
    full = application_range(patched, 0.0, 1.0)
    plain = sample(model, clip, steps=4)
    nothing = application_range(patched, 1.0, 1.0)
    half = application_range(patched, 0.0, 0.5)
    assert torch.equal(sample(nothing, clip, steps=4), plain)
    found = sample(half, clip, steps=4)
    assert not torch.equal(found, plain)
    assert not torch.equal(found, sample(full, clip, steps=4))


def application_range(patched, start, end):
    clone = patched.clone()
    slot = clone.model_options["transformer_options"]["patches"]["softrepa"]
    slot[0] = dataclasses.replace(slot[0], start_percent=start, end_percent=end)
    return clone
