"""What the authors' own code computes, against the nodes in ComfyUI's own models."""

from __future__ import annotations

import comfy.lora
import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.adapters.loader import SoftREPALoader
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import relative_error


@pytest.fixture(scope="module", params=golden_models.FILES)
def golden(request, tmp_path_factory):
    return golden_models.load(request.param)


@pytest.fixture(scope="module")
def patched(golden, tmp_path_factory):
    """The golden adapter, written as the authors write it, through both nodes."""
    folder = tmp_path_factory.mktemp("softrepa")
    adapters.save_reference(folder, golden.tokens, golden.offsets)
    with pytest.MonkeyPatch.context() as patch:
        place = ([str(folder)], {".pth"})
        patch.setitem(folder_paths.folder_names_and_paths, "softrepa", place)
        (adapter,) = SoftREPALoader.execute(adapter="dc_tokens.pth").args
    (model,) = SoftREPAApply.execute(golden.patcher, adapter, 1.0, 0.0, 1.0, golden.layers).args
    return model


@pytest.mark.parametrize("index", range(4))
def test_plain_agrees_with_the_reference(golden, index):
    found = golden.predict(golden.patcher, index)
    assert relative_error(found, golden.expected_plain[index]) < 1e-5


@pytest.mark.parametrize("index", range(4))
def test_patched_agrees_with_the_reference(golden, patched, index):
    found = golden.predict(patched, index)
    assert relative_error(found, golden.expected_patched[index]) < 1e-5
    assert relative_error(found, golden.expected_plain[index]) > 1e-3


def test_lora_patched_weights_get_the_same_tokens(golden, patched):
    """LoRA under the adapter equals the adapter on weights that have the LoRA merged in."""
    name = _one_attention_weight(golden.patcher.model)
    shape = golden.patcher.model.state_dict()[name].shape
    generator = torch.Generator().manual_seed(7)
    lora = {
        "x.lora_up.weight": torch.randn(shape[0], 4, generator=generator) * 0.1,
        "x.lora_down.weight": torch.randn(4, shape[1], generator=generator) * 0.1,
    }
    loaded = comfy.lora.load_lora(lora, {"x": name})
    with_lora = patched.clone()
    assert with_lora.add_patches(loaded, 1.0)
    plain_lora = golden.patcher.clone()
    plain_lora.add_patches(loaded, 1.0)

    results = []
    for patcher in (with_lora, plain_lora):
        patcher.patch_model(device_to=torch.device("cpu"))
        results.append(golden.predict(patcher, 1))
        patcher.unpatch_model(device_to=torch.device("cpu"))
    assert relative_error(results[0], results[1]) > 1e-3, "the adapter acts beside the LoRA"

    weight = golden.patcher.model.get_parameter(name)
    before = weight.detach().clone()
    merged = before + lora["x.lora_up.weight"] @ lora["x.lora_down.weight"]
    try:
        weight.data.copy_(merged)
        for found, patcher in zip(results, (patched, golden.patcher), strict=True):
            assert relative_error(found, golden.predict(patcher, 1)) < 1e-5
    finally:
        weight.data.copy_(before)
    assert relative_error(results[1], golden.expected_plain[1]) > 1e-3, "the LoRA acts"


def _one_attention_weight(model: torch.nn.Module) -> str:
    wanted = ("context_block.attn.qkv.weight", "attn2.to_k.weight")
    return next(name for name in model.state_dict() if name.endswith(wanted))
