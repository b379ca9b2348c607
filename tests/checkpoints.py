"""Small checkpoints of random weights that a stock ComfyUI loads natively, made by the tests.

SD3 of any depth loads: its hidden width is 64 x depth. CLIP-L alone is a valid text encoder and a
TAESD a valid VAE. A U-Net loads as SD1.5 with fewer levels, as long as its width is 320, and as
SDXL as long as its input blocks are SDXL's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.ldm.modules.diffusionmodules.mmdit
import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.ops
import comfy.taesd.taesd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_CLIP = {"max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 49407}
_CLIP_L = {
    **_CLIP,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
}
_CLIP_G = {
    **_CLIP,
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
}


def write_sd3(
    path: Path,
    depth: int = 2,
    dtype: torch.dtype = torch.float16,
    qk_norm: bool = False,
    dual_attention: Sequence[int] = (),
) -> Path:
    """An SD3 checkpoint of this depth for CheckpointLoaderSimple; about 260 MB, mostly CLIP-L.

    qk_norm: as all of SD3.5 has it. dual_attention: blocks with the second attention of SD3.5
    medium (MMDiT-X).
    """
    network = _mmdit(depth, qk_norm, dual_attention)
    weights = {
        **_prefixed("model.diffusion_model.", random_weights(network, seed=depth, dtype=dtype)),
        **_prefixed("text_encoders.clip_l.transformer.", clip_l()),
        **_prefixed("first_stage_model.", small_vae(16)),
    }
    return save(path, weights)


def write_sd15(path: Path, dtype: torch.dtype = torch.float16, full: bool = False) -> Path:
    """A checkpoint that loads as SD1.5: the real width of 320, two levels in place of four.

    full: all of SD1.5's U-Net, 860 million parameters; about 2 GB.
    """
    if full:
        network = sd1_unet()
    else:
        network = _unet(
            num_res_blocks=[1, 1],
            channel_mult=[1, 2],
            transformer_depth=[1, 1],
            transformer_depth_output=[1] * 4,
        )
    weights = {
        **_prefixed("model.diffusion_model.", random_weights(network, seed=15, dtype=dtype)),
        **_prefixed("cond_stage_model.transformer.", clip_l()),
        **_prefixed("first_stage_model.", small_vae(4)),
    }
    return save(path, weights)


def write_sdxl(path: Path, dtype: torch.dtype = torch.float16) -> Path:
    """A checkpoint that loads as SDXL, with both text encoders; about 3.5 GB.

    Width, levels and input blocks are SDXL's (2, 2, 10 and 10 transformer blocks); the middle and
    output blocks have one transformer block where SDXL has 2 or 10.
    """
    network = sdxl_unet()
    weights = {
        **_prefixed("model.diffusion_model.", random_weights(network, seed=10, dtype=dtype)),
        **_prefixed("conditioner.embedders.0.transformer.", clip_l()),
        **_prefixed("conditioner.embedders.1.model.transformer.", _clip(_CLIP_G)),
        **_prefixed("first_stage_model.", small_vae(4)),
    }
    return save(path, weights)


_APART = {
    "sd15": {"cond_stage_model.transformer.": "text_encoders/sd15_clip_l"},
    "sdxl": {
        "conditioner.embedders.0.transformer.": "text_encoders/sdxl_clip_l",
        "conditioner.embedders.1.model.transformer.": "text_encoders/sdxl_clip_g",
    },
}


def write_apart(checkpoint: Path, models: Path, family: str) -> Path:
    """A checkpoint of one of these families as separate files in ComfyUI's folders `models`:
    diffusion_models/FAMILY, vae/FAMILY and text_encoders/FAMILY_clip_l (and _clip_g), and as
    loras/FAMILY a LoRA on one of its layers."""
    whole = load_file(checkpoint)
    unet = "model.diffusion_model."
    parts = {unet: f"diffusion_models/{family}", "first_stage_model.": f"vae/{family}"}
    for prefix, name in {**parts, **_APART[family]}.items():
        own = {key.removeprefix(prefix): value for key, value in whole.items()
               if key.startswith(prefix)}  # fmt: skip
        save(models / f"{name}.safetensors", own)
    changed = next(key for key in sorted(whole) if key.endswith("attn2.to_k.weight"))
    name, (high, wide) = changed.removesuffix(".weight"), whole[changed].shape
    name = name.removeprefix("model.")
    lora = {f"{name}.lora_up.weight": _normal((high, 2), 1, 0.1),
            f"{name}.lora_down.weight": _normal((2, wide), 2, 0.1)}  # fmt: skip
    save(models / "loras" / f"{family}.safetensors", lora)
    return models


def sd1_unet(**shape: Any) -> torch.nn.Module:
    """SD1.5's U-Net on the meta device; `shape` changes it, as SD2.x's does."""
    return _unet(
        num_res_blocks=[2, 2, 2, 2],
        channel_mult=[1, 2, 4, 4],
        transformer_depth=[1] * 6 + [0] * 2,
        transformer_depth_output=[1] * 9 + [0] * 3,
        **shape,
    )


def sdxl_unet() -> torch.nn.Module:
    """SDXL's U-Net on the meta device, with fewer transformer blocks on the way up."""
    return _unet(
        num_res_blocks=[2, 2, 2],
        channel_mult=[1, 2, 4],
        transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_output=[0] * 3 + [1] * 6,
        context_dim=2048,
        adm_in_channels=2816,
        num_classes="sequential",
        num_heads=-1,
        num_head_channels=64,
        use_linear_in_transformer=True,
    )


def _mmdit(depth: int, qk_norm: bool, dual_attention: Sequence[int]) -> torch.nn.Module:
    return comfy.ldm.modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper(
        patch_size=2,
        depth=depth,
        in_channels=16,
        input_size=None,
        adm_in_channels=2048,
        num_patches=32 * 32,
        pos_embed_max_size=32,
        context_embedder_config={
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": 64 * depth},
        },
        qk_norm="rms" if qk_norm else None,
        x_block_self_attn_layers=list(dual_attention),
        device="meta",
        operations=comfy.ops.disable_weight_init,
    )


def _unet(**shape: Any) -> torch.nn.Module:
    return comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        use_spatial_transformer=True,
        transformer_depth_middle=1,
        legacy=False,
        device="meta",
        operations=comfy.ops.disable_weight_init,
        **{"context_dim": 768, "num_heads": 8, **shape},
    )


@functools.cache
def clip_l() -> dict[str, Tensor]:
    """CLIP-L of random embeddings whose residual branches are zero, in half precision."""
    return _clip(_CLIP_L)


def _clip(config: dict[str, Any]) -> dict[str, Tensor]:
    model = comfy.clip_model.CLIPTextModel(
        config, torch.float16, "meta", comfy.ops.disable_weight_init
    )
    weights = {}
    for name, meta in model.state_dict().items():
        if "embedding" in name:
            weights[name] = _normal(meta.shape, seed=len(weights), std=0.5).half()
        elif "norm" in name and name.endswith("weight"):
            weights[name] = torch.ones(meta.shape, dtype=torch.float16)
        else:
            weights[name] = torch.zeros(meta.shape, dtype=torch.float16)
    return weights


def small_vae(channels: int) -> dict[str, Tensor]:
    """A TAESD whose pictures are noise around mid-grey, so that a change of latents shows."""
    weights = random_weights(
        comfy.taesd.taesd.TAESD(latent_channels=channels), channels, torch.float16
    )
    last = max(int(name.split(".")[1]) for name in weights if name.startswith("taesd_decoder."))
    weights[f"taesd_decoder.{last}.bias"].fill_(0.5)
    return weights


def random_weights(network: torch.nn.Module, seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights for a network that may be on the meta device."""
    weights = {}
    for index, (name, meta) in enumerate(network.state_dict().items()):
        if name.startswith("vae_"):
            continue  # TAESD's scale and shift have defaults of their own
        if meta.dim() == 1:
            tensor = _normal(meta.shape, seed * 10_000 + index, 0.02) + name.endswith("weight")
        else:
            std = 0.5 if name == "pos_embed" else 1.0 / math.sqrt(math.prod(meta.shape[1:]))
            tensor = _normal(meta.shape, seed * 10_000 + index, std)
        weights[name] = tensor.to(dtype)
    return weights


def _normal(shape: torch.Size, seed: int, std: float) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul_(std)


def _prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def save(path: Path, weights: dict[str, Tensor]) -> Path:
    """A file of them, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return path
