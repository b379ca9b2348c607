"""What a width tells: the model family an adapter belongs to, and the blocks it acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class UNetFamily:
    """A U-Net family: its name, the groups of blocks the reference trains by default, and what the
    Stability model spec calls its base model."""

    name: str
    layers: tuple[str, ...]
    modelspec: str


UNET_FAMILIES: Mapping[int, UNetFamily] = MappingProxyType(
    {
        768: UNetFamily("SD1.x", ("input",), "stable-diffusion-v1"),
        1024: UNetFamily("SD2.x", ("input",), "stable-diffusion-v2"),
        2048: UNetFamily("SDXL", ("input", "middle"), "stable-diffusion-xl-v1-base"),
    }
)
"""By the width of the cross-attention context."""

MMDIT_FAMILIES: Mapping[int, str] = MappingProxyType(
    {1536: "SD3 medium", 2432: "SD3.5 large", 4096: "SD3, raw text width"}
)
"""By the width of the tokens: the model's hidden width, or that of its raw text."""

FAMILIES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "mmdit": MMDIT_FAMILIES,
        "flux": {3072: "Flux.1"},
        "flux2": {3072: "Flux.2 klein 4B", 4096: "Flux.2 klein 9B", 6144: "Flux.2 dev"},
        "chroma": {3072: "Chroma"},
        "qwen_image": {3072: "Qwen-Image"},
        "lumina": {2304: "Lumina 2", 3840: "Z-Image"},
        "anima": {1024: "Anima or Cosmos-Predict2"},
        "hunyuan_image": {3584: "HunyuanImage 2.1"},
        "wan": {1536: "Wan 1.3B", 3072: "Wan 5B", 5120: "Wan 14B"},
        "aura_flow": {3072: "AuraFlow"},
    }
)
"""By architecture, by the width of the tokens: the network's hidden width, Anima's raw text."""

ARCHITECTURE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mmdit": "MMDiT",
        "unet": "U-Net",
        "flux": "Flux.1 DiT",
        "flux2": "Flux.2 DiT",
        "chroma": "Chroma DiT",
        "qwen_image": "Qwen-Image DiT",
        "lumina": "Next-DiT",
        "anima": "MiniTrainDiT",
        "hunyuan_image": "HunyuanImage DiT",
        "wan": "Wan DiT",
        "aura_flow": "AuraFlow MMDiT",
    }
)


def describe(architecture: str, width: int) -> str:
    """A model or adapter in words: "SDXL (U-Net, width 2048)"."""
    name = ARCHITECTURE_NAMES.get(architecture, architecture)
    if architecture == "unet" and width in UNET_FAMILIES:
        return f"{UNET_FAMILIES[width].name} ({name}, width {width})"
    family = FAMILIES.get(architecture, {}).get(width)
    return f"{family} ({name}, width {width})" if family else f"{name} of width {width}"


_MODELSPEC: Mapping[str, str] = MappingProxyType(
    {
        "mmdit": "stable-diffusion-3",
        "flux": "flux-1",
        "flux2": "flux-2",
        "qwen_image": "qwen-image",
        "lumina": "lumina-2",
        "hunyuan_image": "hunyuan-image-2.1",
        "wan": "wan",
        "aura_flow": "auraflow-v1",
    }
)


def modelspec_base(architecture: str, width: int) -> str:
    """The base model's name in the Stability model spec."""
    if architecture == "unet":
        return UNET_FAMILIES[width].modelspec if width in UNET_FAMILIES else "stable-diffusion"
    if FAMILIES.get(architecture, {}).get(width) == "Z-Image":
        return "z-image"
    return _MODELSPEC.get(architecture, architecture)
