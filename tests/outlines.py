"""Model files of real names, shapes and sizes whose numbers are all zero and take no disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import comfy.clip_model
import comfy.ldm.models.autoencoder
import comfy.ops
import torch
from comfyui_softrepa.tests import checkpoints
from torch import Tensor


def write(path: Path, *parts: Mapping[str, Tensor]) -> Path:
    """A safetensors file of half-precision zeros in these shapes, as a hole in the disk."""
    header, end = {}, 0
    for name, tensor in (item for part in parts for item in part.items()):
        start, end = end, end + 2 * tensor.numel()
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def unet(family: str) -> dict[str, Tensor]:
    """SD1.x's, SD2.x's or SDXL's diffusion model."""
    if family == "SDXL":
        return checkpoints.sdxl_unet().state_dict()
    wide = {"context_dim": 1024, "use_linear_in_transformer": True, "num_heads": -1}
    return checkpoints.sd1_unet(
        **({**wide, "num_head_channels": 64} if family == "SD2.x" else {})
    ).state_dict()


def clip(width: int, layers: int) -> dict[str, Tensor]:
    """A CLIP text encoder as its file for ComfyUI has it: 768 and 12, 1024 and 24, 1280 and 32."""
    config = {
        "max_position_embeddings": 77,
        "vocab_size": 49408,
        "eos_token_id": 49407,
        "hidden_act": "gelu",
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": width // 64,
        "num_hidden_layers": layers,
    }
    model = comfy.clip_model.CLIPTextModel(
        config, torch.float16, "meta", comfy.ops.disable_weight_init
    )
    return model.state_dict()


CLIP_L, CLIP_H, CLIP_G = (768, 12), (1024, 24), (1280, 32)


def t5xxl() -> dict[str, Tensor]:
    """What tells T5-XXL, not all of it."""
    block = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"
    return {
        block: torch.empty(10240, 4096, device="meta"),
        "encoder.final_layer_norm.weight": torch.empty(4096, device="meta"),
        "shared.weight": torch.empty(32128, 4096, device="meta"),
    }


def vae(channels: int) -> dict[str, Tensor]:
    """The VAE of SD1.x, SD2.x and SDXL (4 channels) or SD3 (16)."""
    with torch.device("meta"):
        model = comfy.ldm.models.autoencoder.AutoencoderKL(
            ddconfig={
                "double_z": True,
                "z_channels": channels,
                "resolution": 256,
                "in_channels": 3,
                "out_ch": 3,
                "ch": 128,
                "ch_mult": [1, 2, 4, 4],
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "dropout": 0.0,
            },
            embed_dim=channels,
        )
    return model.state_dict()
