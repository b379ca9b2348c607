"""Do tokens that counted twice in training's attention do better at strength 1? Three seeds, both
objectives, on prompts that chose nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import world
from ..models.unet_base.short import Unet
from . import grid, page
from .short.forward import Short
from .short.sd3 import Model

Use = tuple[str, float, float, str]
"""Objective, weight in training, strength, and what the strength is."""
Found = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Each prompt's verdict, 1 or 0: with the adapter, and of the bare base."""

RESULTS: Mapping[str, Path] = MappingProxyType(
    {
        "sd3": grid.FINDINGS / "train_weight.jsonl",
        "unet": grid.FINDINGS / "train_weight_unet.jsonl",
    }
)
PROMPTS = 500
BASES: Mapping[str, tuple[str, Callable[[], Short], int]] = MappingProxyType(
    {"sd3": ("0,1,2", Model.load, PROMPTS), "unet": ("input", Unet.load, PROMPTS // 2)}
)
"""By base: the blocks that are trained, how it is loaded, and prompts, as the U-Net takes twice as
long for one."""
TITLES: Mapping[str, str] = MappingProxyType({"sd3": "objective", "unet": "objective, U-Net base"})
STEPS = 200
SEEDS = (0, 1, 2)
WEIGHTS = (1.0, 2.0)
AS_TRAINED: dict[str, Any] = {"strength": 1.0}
HALVES: tuple[dict[str, Any], ...] = (
    {"strength": 0.5},
    {"strength": 0.5, "strength_as": "attention"},
)
"""Half by blending, which costs a second pass, and half as the weight in attention."""


@dataclass(frozen=True)
class Weighed(grid.Trial):
    """One training of STEPS steps, used as trained and at half strength; ordinary SoftREPA, for
    which half strength is, at half in attention, too."""

    def findings(self) -> list[dict[str, Any]]:
        ordinary = self.flags["objective"] == "softrepa" and self.flags["train_weight"] == 1.0
        halves = HALVES if ordinary else HALVES[:1]
        return [{"flags": dict(self.flags), "steps": STEPS, **use} for use in (AS_TRAINED, *halves)]


def trials(layers: str) -> Iterator[Weighed]:
    """A seed at a time, so that what is there when time runs out compares like with like."""
    for objective in ("softrepa", "agsm"):
        for seed in SEEDS:
            for weight in WEIGHTS:
                flags = {**grid.COMMON, **grid.BEYOND, "objective": objective, "layers": layers}
                yield Weighed({**flags, "train_weight": weight, "seed": seed})


def run(bases: Sequence[str] = ("sd3", "unet"), minutes: float | None = None) -> None:
    """Does what the bases' files do not hold yet, as far as `minutes` reach."""
    for base in bases:
        layers, load, prompts = BASES[base]
        minutes = grid.run(
            RESULTS[base], trials(layers), world.unswept_scenes(prompts), load, minutes
        )


def table(file: Path, title: str = "objective") -> str:
    """A row an objective, training weight and use: the share right by seed, its mean, the gain over
    the bare base, and that over ordinary training at strength 1 with the same seeds.

    Gains in points, with 95 % intervals over prompts, a prompt's mean over the seeds each; they
    hold for these trainings, of which the shares by seed show the spread.
    """
    lines = [
        f"| {title} | weight in training | strength | right, by seed | mean | gain "
        "| over ordinary at 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[Use, dict[int, Found]] = {}
    for entry in grid.read(file):
        flags = entry["flags"]
        how = (entry["strength"], entry.get("strength_as", "blend"))
        seeds = groups.setdefault((flags["objective"], flags["train_weight"], *how), {})
        seeds[flags["seed"]] = page.numbers(entry["after"]), page.numbers(entry["before"])
    for use, seeds in groups.items():
        objective, weight, strength, strength_as = use
        ordinary = (objective, 1.0, 1.0, "blend")
        shares = page.shares(seeds)
        cells = [
            objective,
            f"{weight:g}",
            f"{strength:g}{' in attention' if strength_as == 'attention' else ''}",
            ", ".join(f"{share:.1f}" for share in shares),
            f"{np.mean(shares):.1f} %",
            page.gain(seeds),
            page.over(seeds, groups.get(ordinary, {})),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def show() -> str:
    """Puts the bases' tables into demo/RESULTS.md, in the place of the earlier ones."""
    return "\n\n".join(page.put(table(RESULTS[base], TITLES[base])) for base in BASES)
