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
        "SD3": Family(4, "0-4", True, "normal", 512),
    }
)
"""SD2.x is in neither paper: it takes SD1.x's row, whose network it shares."""


def family_of(architecture: str, width: int) -> str:
    """The row for a model, by architecture ("mmdit", "unet") and the width of its tokens."""
    if architecture == "mmdit":
        return "SD3"
    return {768: "SD1.x", 1024: "SD2.x"}.get(width, "SDXL")
