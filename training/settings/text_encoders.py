"""Which text encoders each family of models has: their kinds, their usual files, and how ComfyUI
is told to put them together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TEXT_ENCODERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "SD1.x": ("clip_l",),
        "SD2.x": ("clip_h",),
        "SDXL": ("clip_l", "clip_g"),
        "SD3": ("clip_l", "clip_g", "t5xxl"),
        "Flux.1": ("clip_l", "t5xxl"),
        "Flux.2 dev": ("mistral3_24b",),
        "Flux.2 klein 4B": ("qwen3_4b",),
        "Flux.2 klein 9B": ("qwen3_8b",),
        "Chroma": ("t5xxl",),
        "Qwen-Image": ("qwen25_7b",),
        "Lumina 2": ("gemma2_2b",),
        "Z-Image": ("qwen3_4b",),
        "Anima": ("qwen3_06b",),
        "Cosmos-Predict2": ("t5xxl_old",),
        "HunyuanImage 2.1": ("qwen25_7b", "byt5_small"),
        "Wan": ("umt5xxl",),
        "AuraFlow": ("pile_t5xl",),
    }
)
"""What each family's texts go through. SD3 does with any of its own, the others need all that are
not OPTIONAL."""

OPTIONAL = frozenset({"byt5_small"})
"""HunyuanImage's for words in quotation marks, which are to be painted as letters."""

KNOWN_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "clip_l": ("clip_l.safetensors",),
        "clip_g": ("clip_g.safetensors",),
        "clip_h": ("clip_h.safetensors",),
        "t5xxl": (
            "t5xxl_fp16.safetensors",
            "t5xxl_fp8_e4m3fn_scaled.safetensors",
            "t5xxl_fp8_e4m3fn.safetensors",
        ),
        "t5xxl_old": (
            "oldt5_xxl_fp16.safetensors",
            "oldt5_xxl_fp8_e4m3fn_scaled.safetensors",
        ),
        "umt5xxl": ("umt5_xxl_fp16.safetensors", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
        "pile_t5xl": ("pile_t5xl.safetensors",),
        "byt5_small": ("byt5_small_glyphxl_fp16.safetensors",),
        "gemma2_2b": ("gemma_2_2b_fp16.safetensors",),
        "mistral3_24b": (
            "mistral_3_small_flux2_bf16.safetensors",
            "mistral_3_small_flux2_fp8.safetensors",
        ),
        "qwen25_7b": ("qwen_2.5_vl_7b.safetensors", "qwen_2.5_vl_7b_fp8_scaled.safetensors"),
        "qwen3_06b": ("qwen_3_06b_base.safetensors",),
        "qwen3_4b": ("qwen_3_4b.safetensors",),
        "qwen3_8b": ("qwen_3_8b.safetensors", "qwen_3_8b_fp8mixed.safetensors"),
    }
)
"""The usual files, as their makers publish them for ComfyUI; the first that is there is used."""

DETECTED: Mapping[str, str] = MappingProxyType(
    {
        "CLIP_L": "clip_l",
        "CLIP_G": "clip_g",
        "CLIP_H": "clip_h",
        "T5_XXL": "t5xxl",
        "T5_XXL_OLD": "t5xxl_old",
        "T5_XL": "pile_t5xl",
        "BYT5_SMALL_GLYPH": "byt5_small",
        "GEMMA_2_2B": "gemma2_2b",
        "MISTRAL3_24B": "mistral3_24b",
        "MISTRAL3_24B_PRUNED_FLUX2": "mistral3_24b",
        "QWEN25_7B": "qwen25_7b",
        "QWEN3_06B": "qwen3_06b",
        "QWEN3_4B": "qwen3_4b",
        "QWEN3_8B": "qwen3_8b",
    }
)
"""By the name of ComfyUI's `TEModel`. Its UMT5-XXL is a T5_XXL too, see `headers`."""

_TYPES: Mapping[str, tuple[str, ...]] = {
    "SD3": ("SD3",),
    "Flux.1": ("FLUX",),
    "Flux.2 dev": ("FLUX2", "FLUX"),
    "Flux.2 klein 4B": ("FLUX2", "FLUX"),
    "Flux.2 klein 9B": ("FLUX2", "FLUX"),
    "Chroma": ("CHROMA",),
    "Qwen-Image": ("QWEN_IMAGE",),
    "Lumina 2": ("LUMINA2",),
    "Z-Image": ("LUMINA2",),
    "Cosmos-Predict2": ("COSMOS",),
    "HunyuanImage 2.1": ("HUNYUAN_IMAGE",),
    "Wan": ("WAN",),
}


def clip_type(family: str) -> object:
    """The `comfy.sd.CLIPType` under which ComfyUI's loaders load this family's text encoders."""
    import comfy.sd

    known = comfy.sd.CLIPType
    names = (*_TYPES.get(family, ()), "STABLE_DIFFUSION")
    return next(known[name] for name in names if name in known.__members__)


def in_graph(family: str) -> frozenset[str]:
    """The kinds of tokens that this family's CLIP, as loaders give it, makes of any text."""
    own = {"Anima": ("qwen3_06b", "t5xxl"), "Cosmos-Predict2": ("t5xxl",)}
    return frozenset(own.get(family, TEXT_ENCODERS[family]))
