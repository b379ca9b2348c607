"""Weights that ComfyUI keeps elsewhere and casts at use: low VRAM, and dynamic VRAM of newer cores.

There a layer's weight may lie on the disk, in another type, or without the LoRAs on it; only the
layer's own forward gives the weight to compute with.
"""

from __future__ import annotations

import copy

import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.injection import architectures
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import relative_error

RAW = "sd3_d3l2_4096_timed"


def without_weights(model):
    """A model of the same kind whose network has names and shapes, and no numbers."""
    empty = copy.copy(model)
    network = copy.deepcopy(model.diffusion_model).to("meta")
    empty._modules = {**model._modules, "diffusion_model": network}
    return empty


@pytest.mark.parametrize("stem", ["sd15_timed_100", "sdxl_110", RAW])
def test_an_adapter_is_fitted_without_a_look_at_a_weight(stem):
    golden = golden_models.load(stem)
    empty = without_weights(golden.patcher.model)
    architecture = architectures.architecture_of(empty)
    widths = architecture.widths(golden.patcher.model)
    assert architecture.widths(empty) == widths
    assert architecture.blocks(empty) == architecture.blocks(golden.patcher.model)
    blocks = 2 if golden.arch == "sd3" else 1
    adapter = adapters.random_adapter(architecture.NAME, widths[0], blocks)
    found, expected = (
        injection.make_application(model, adapter) for model in (empty, golden.patcher.model)
    )
    assert found.blocks == expected.blocks


@pytest.fixture
def raw():
    """A model and an adapter whose tokens pass through the model's context embedder."""
    golden = golden_models.load(RAW)
    embedder = golden.patcher.model.diffusion_model.context_embedder
    weight = embedder.weight.detach().clone()
    yield golden, embedder
    embedder.comfy_cast_weights = False
    embedder.weight_function = []
    with torch.no_grad():
        embedder.weight.copy_(weight)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_tokens_pass_through_the_weight_as_it_is_cast(raw, strength):
    """What a LoRA adds at use counts for the tokens as it does for the text."""
    golden, embedder = raw
    hidden = golden.patcher.model.diffusion_model.hidden_size
    adapter = adapters.random_adapter("mmdit", 4096, 2, offset_width=hidden)
    patched = SoftREPAApply.execute(golden.patcher, adapter, strength, 0.0, 1.0, "").args[0]
    before = golden.predict(patched, 1)
    embedder.comfy_cast_weights = True
    embedder.weight_function = [lambda weight: weight * 2.0]
    at_use = golden.predict(patched, 1)
    embedder.comfy_cast_weights, embedder.weight_function = False, []
    with torch.no_grad():
        embedder.weight.mul_(2.0)
    whole = golden.predict(patched, 1)
    assert torch.equal(at_use, whole)
    assert relative_error(at_use, before) > 1e-3


def test_the_embedder_sees_the_function_on_its_weight(raw):
    golden, embedder = raw
    model = golden.patcher.model
    adapter = adapters.random_adapter("mmdit", 4096, 2)
    embed = architectures.architecture_of(model).embedder(adapter, model, torch.float32)
    tokens = adapter.tokens[0].unsqueeze(0)
    plain = embed(tokens)
    embedder.comfy_cast_weights = True
    embedder.weight_function = [lambda weight: weight * 0.0]
    bias = embedder.bias.expand_as(plain)
    assert torch.allclose(embed(tokens), bias) and not torch.allclose(plain, bias)
