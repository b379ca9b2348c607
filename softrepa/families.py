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

ARCHITECTURE_NAMES: Mapping[str, str] = MappingProxyType(
    {"mmdit": "MMDiT", "unet": "U-Net", "anima": "Anima DiT"}
)


def describe(architecture: str, width: int) -> str:
    """A model or adapter in words: "SDXL (U-Net, width 2048)"."""
    kind = f"{ARCHITECTURE_NAMES.get(architecture, architecture)}, width {width}"
    if architecture == "unet" and width in UNET_FAMILIES:
        return f"{UNET_FAMILIES[width].name} ({kind})"
    if architecture == "mmdit" and width in MMDIT_FAMILIES:
        return f"{MMDIT_FAMILIES[width]} ({kind})"
    return f"{ARCHITECTURE_NAMES.get(architecture, architecture)} of width {width}"


def modelspec_base(architecture: str, width: int) -> str:
    """The base model's name in the Stability model spec."""
    if architecture == "unet":
        return UNET_FAMILIES[width].modelspec if width in UNET_FAMILIES else "stable-diffusion"
    return {"mmdit": "stable-diffusion-3"}.get(architecture, architecture)
