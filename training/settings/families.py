"""What the papers use for each model family: one row of defaults a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Defaults for one family of models, from arXiv 2503.08250 and 2605.30038 and their code.

    tokens: soft tokens a block. layers: as --layers takes it. time_offsets: whether a token has an
    offset for each of the 100 timestep buckets. start: what tokens begin as: normal, N(0, 0.02), or
    bos, the first embedding of the empty prompt. resolution: in pixels. Those of
    the loss stand with each objective.
    """

    tokens: int
    layers: str
    time_offsets: bool
    start: Literal["normal", "bos"]
    resolution: int


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "SD1.x": Family(4, "input", True, "bos", 512),
        "SD2.x": Family(4, "input", True, "bos", 512),
        "SDXL": Family(4, "input,middle", False, "normal", 1024),
        **dict.fromkeys(
            (
                "SD3",
                "Flux.1",
                "Flux.2 dev",
                "Flux.2 klein 4B",
                "Flux.2 klein 9B",
                "Chroma",
                "Qwen-Image",
                "Lumina 2",
                "Z-Image",
                "Anima",
                "Cosmos-Predict2",
                "HunyuanImage 2.1",
                "Wan",
                "AuraFlow",
            ),
            Family(4, "0-4", True, "normal", 512),
        ),
    }
)
"""SD2.x is in neither paper: it takes SD1.x's row, whose network it shares. Neither is any of those
after SD3: they take SD3's, which is a transformer too."""

_NAMES: Mapping[str, Mapping[int | str, str]] = MappingProxyType(
    {
        "unet": {768: "SD1.x", 1024: "SD2.x", "": "SDXL"},
        "mmdit": {"": "SD3"},
        "flux": {"": "Flux.1"},
        "flux2": {3072: "Flux.2 klein 4B", 4096: "Flux.2 klein 9B", "": "Flux.2 dev"},
        "chroma": {"": "Chroma"},
        "qwen_image": {"": "Qwen-Image"},
        "lumina": {3840: "Z-Image", "": "Lumina 2"},
        "anima": {"Anima": "Anima", "": "Cosmos-Predict2"},
        "hunyuan_image": {"": "HunyuanImage 2.1"},
        "wan": {"": "Wan"},
        "aura_flow": {"": "AuraFlow"},
    }
)
"""By architecture: the name of ComfyUI's class or the width where these tell more, else ""."""

UNETS = frozenset(_NAMES["unet"].values())


def family_of(architecture: str, width: int, model: str = "") -> str:
    """The row for a model, by architecture and width of its tokens, and its class in ComfyUI."""
    names = _NAMES[architecture]
    return names.get(model) or names.get(width) or names[""]
