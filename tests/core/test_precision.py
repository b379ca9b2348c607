"""Tokens keep float32 on fp16, bf16 and fp8 models, and survive what ComfyUI does to patches."""

from __future__ import annotations

import dataclasses

import comfy.sd
import comfy.utils
import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.golden_models import relative_error

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def application_on(model):
    (found,) = model.model_options["transformer_options"]["patches"]["softrepa"]
    return found


@pytest.fixture(scope="module")
def weights(sd3_checkpoint):
    state = comfy.utils.load_torch_file(str(sd3_checkpoint))
    prefix = "model.diffusion_model."
    return {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_weight_type_runs_and_keeps_the_tokens(weights, dtype):
    patcher = comfy.sd.load_diffusion_model_state_dict(
        dict(weights), model_options={"dtype": dtype}
    )
    assert patcher.model.diffusion_model.joint_blocks[0].context_block.mlp.fc1.weight.dtype == dtype
    for width in (128, 4096):  # 4096: through the model's own context embedder
        adapter = random_adapter(width=width, offset_width=128)
        (patched,) = SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args
        patched.model_patches_to(torch.device("cpu"))
        patched.model_patches_to(patcher.model_dtype())
        kept = application_on(patched).adapter
        assert kept.tokens.dtype == torch.float32 and torch.equal(kept.tokens, adapter.tokens)
        assert torch.equal(kept.offsets, adapter.offsets)
        found, plain = predict(patched), predict(patcher)
        assert torch.isfinite(found).all()
        assert relative_error(found, plain) > 1e-3
    settings = (2.0, 0.0, 1.0, "", None, "attention")
    (weighed,) = SoftREPAApply.execute(patcher, adapter, *settings).args
    tokens = adapter.tokens.repeat(1, 1, 2, 1)
    counted = dataclasses.replace(adapter, tokens=tokens)
    (twice,) = SoftREPAApply.execute(patcher, counted, 1.0, 0.0, 1.0, "").args
    assert relative_error(predict(weighed), predict(twice)) < 0.1 * relative_error(found, plain)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_stays_near_float32(weights, dtype):
    adapter = random_adapter()
    found = []
    for weight_dtype in (torch.float32, dtype):
        patcher = comfy.sd.load_diffusion_model_state_dict(
            dict(weights), model_options={"dtype": weight_dtype}
        )
        (patched,) = SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args
        found.append(predict(patched))
    assert relative_error(found[1], found[0]) < 0.05


def predict(patcher) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 16, 8, 8, generator=generator)
    context = torch.randn(2, 77, 4096, generator=generator)
    pooled = torch.randn(2, 2048, generator=generator)
    sigma = torch.tensor([0.7, 0.7])
    with torch.no_grad():
        return patcher.model.apply_model(
            x, sigma, c_crossattn=context, y=pooled,
            transformer_options=patcher.model_options["transformer_options"],
        ).float()  # fmt: skip


def test_application_moves_by_device_and_ignores_dtypes(weights):
    patcher = comfy.sd.load_diffusion_model_state_dict(
        dict(weights), model_options={"dtype": torch.float32}
    )
    application = injection.make_application(patcher.model, random_adapter())
    assert application.to(torch.float16) is application
    assert application.to("cpu", torch.bfloat16) is application
    assert application.to(dtype=torch.float16, device="cpu") is application
    moved = application.to(torch.device("meta"))
    assert moved is not application and moved.adapter.tokens.device.type == "meta"
    assert moved.adapter.tokens.dtype == torch.float32
    assert moved.to(torch.float16) is moved, "a dtype alone brings nothing back to the CPU"
    assert application.adapter.tokens.device.type == "cpu", "the original stays where it was"


def test_comfyui_moves_the_patch_with_the_model(weights):
    """`model_patches_to` is what ComfyUI calls when it loads a model on a device."""
    patcher = comfy.sd.load_diffusion_model_state_dict(
        dict(weights), model_options={"dtype": torch.float32}
    )
    (patched,) = SoftREPAApply.execute(patcher, random_adapter(), 1.0, 0.0, 1.0, "").args
    before = application_on(patched)
    # As in `LoadedModel.model_load`: the device, then the dtype alone.
    patched.model_patches_to(torch.device("meta"))
    patched.model_patches_to(patched.model_dtype())
    assert application_on(patched).adapter.tokens.device.type == "meta"
    # What is on "meta" cannot come back, and ComfyUI moves it once more when the model goes.
    patched.model_options["transformer_options"]["patches"]["softrepa"][0] = before
