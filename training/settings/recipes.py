"""What the papers use for each model family: one row of defaults a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Defaults for one family of models, from arXiv 2503.08250 and 2605.30038 and their code.

    tokens: soft tokens a block. layers: as --layers takes it. time_offsets: whether a token has an
    offset for each of the 100 timestep buckets. start: what tokens begin as: normal, N(0, 0.02), or
    bos, the first embedding of the empty prompt. own_weight: SoftREPA's w. gamma_*: AGSM's.
    resolution: in pixels.
    """

    tokens: int
    layers: str
    time_offsets: bool
    start: Literal["normal", "bos"]
    own_weight: float
    gamma_positive: float
    gamma_negative: float
    resolution: int


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "SD1.x": Recipe(4, "input", True, "bos", 10.0, 1.0, 1.0, 512),
        "SD2.x": Recipe(4, "input", True, "bos", 10.0, 1.0, 1.0, 512),
        "SDXL": Recipe(4, "input,middle", False, "normal", 10.0, 1.0, 0.1, 1024),
        "SD3": Recipe(4, "0-4", True, "normal", 0.0, 1.0, 0.1, 512),
    }
)
"""SD2.x is in neither paper: it takes SD1.x's row, whose network it shares."""


def family_of(architecture: str, width: int) -> str:
    """The row for a model, by architecture ("mmdit", "unet") and the width of its tokens."""
    if architecture == "mmdit":
        return "SD3"
    return {768: "SD1.x", 1024: "SD2.x"}.get(width, "SDXL")


TEMPERATURES: Mapping[tuple[str, bool], float] = MappingProxyType(
    {
        ("softrepa", False): 0.07,
        ("softrepa", True): 0.3,
        ("agsm", False): 0.1,
        ("agsm", True): 0.1,
    }
)
"""By objective and whether the temperature is a share of the row's mean error (--normalise)."""
