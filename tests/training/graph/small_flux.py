"""Flux.1 in small files of random weights, for ComfyUI's own loaders of files apart.

Its text encoders are classes of one size, and the older core knows one width of Flux: both are told
the small sizes while a test runs, and everything else is as it is with real files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.ldm.flux.model
import comfy.model_detection
import comfy.ops
import comfy.sd1_clip
import comfy.text_encoders.t5
import pytest
import torch
from comfyui_softrepa.demo.models.flux_base import network
from comfyui_softrepa.tests.checkpoints import random_weights, save, small_vae

TEXT = 64
_CLIP_L = {
    "hidden_act": "quick_gelu", "hidden_size": TEXT, "intermediate_size": 64, "eos_token_id": 49407,
    "max_position_embeddings": 77, "num_attention_heads": 1, "num_hidden_layers": 2,
    "vocab_size": 49408,
}  # fmt: skip
_T5 = {
    "d_ff": 64, "d_kv": 64, "d_model": TEXT, "dense_act_fn": "gelu_pytorch_tanh",
    "is_gated_act": True, "model_type": "t5", "num_heads": 1, "num_layers": 1, "vocab_size": 32128,
}  # fmt: skip
_FLUX = {"vec_in_dim": TEXT, "context_in_dim": TEXT, "depth_single_blocks": 1}
FILES = {
    "model": "diffusion_models/flux.safetensors",
    "clip_l": "text_encoders/clip_l.safetensors",
    "t5xxl": "text_encoders/t5xxl.safetensors",
    "vae": "vae/ae.safetensors",
}


def write(models: Path) -> Path:
    """FILES below `models`; 17 MB."""
    meta, operations = torch.device("meta"), comfy.ops.disable_weight_init
    clip_l = comfy.clip_model.CLIPTextModel(_CLIP_L, torch.float32, meta, operations)
    t5 = comfy.text_encoders.t5.T5(_T5, torch.float32, meta, operations)
    # The shape that loaders know T5-XXL by, of nothing, in a layer that this one does not have.
    mark = {"encoder.block.23.layer.1.DenseReluDense.wi_1.weight": torch.zeros(10240, 0, 4096)}
    parts = {
        "model": _as_files_have_it(random_weights(_flux(), 1, torch.float16)),
        "clip_l": random_weights(clip_l, 2, torch.float16),
        "t5xxl": {**random_weights(t5, 3, torch.float16), **mark},
        "vae": small_vae(16),
    }
    for name, weights in parts.items():
        save(models / FILES[name], weights)
    return models


def _flux() -> torch.nn.Module:
    shape = {**network.parameters(), **_FLUX, "guidance_embed": True}
    return comfy.ldm.flux.model.Flux(
        dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init, **shape
    )


def _as_files_have_it(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Newer cores call "weight" what files call "scale"."""
    norms = ("query_norm.weight", "key_norm.weight")
    return {
        name.removesuffix("weight") + "scale" if name.endswith(norms) else name: tensor
        for name, tensor in weights.items()
    }


def tell_sizes(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone."""
    made, detect = comfy.sd1_clip.SDClipModel.__init__, comfy.model_detection.detect_unet_config

    def small(self: Any, *args: Any, model_options: Mapping[str, Any] = {}, **more: Any) -> None:
        sizes = {"clip_l_model_config": _CLIP_L, "t5xxl_model_config": _T5}
        made(self, *args, model_options={**model_options, **sizes}, **more)

    def detected(*args: Any, **more: Any) -> Any:
        found = detect(*args, **more)
        return {**found, "num_heads": 1} if found and found.get("hidden_size") == 128 else found

    patch.setattr(comfy.sd1_clip.SDClipModel, "__init__", small)
    patch.setattr(comfy.model_detection, "detect_unet_config", detected)
