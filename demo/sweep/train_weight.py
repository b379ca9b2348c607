"""Do tokens that counted twice in training's attention do better at strength 1? Three seeds, both
objectives, on prompts that chose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation.statistics.rates import paired
from .. import world
from ..table import gain
from . import grid

RESULTS = Path(__file__).with_name("train_weight.jsonl")
PROMPTS = 500
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
    """One training of STEPS steps; the one that today's half strength is for is used so, too."""

    def findings(self) -> list[dict[str, Any]]:
        ordinary = self.flags["objective"] == "softrepa" and self.flags["train_weight"] == 1.0
        uses = (AS_TRAINED, *HALVES) if ordinary else (AS_TRAINED,)
        return [{"flags": dict(self.flags), "steps": STEPS, **use} for use in uses]


def trials() -> Iterator[Weighed]:
    """A seed at a time, so that what is there when time runs out compares like with like."""
    for seed in SEEDS:
        for objective in ("softrepa", "agsm"):
            for weight in WEIGHTS:
                flags = {**grid.COMMON, **grid.BEYOND, "objective": objective}
                yield Weighed({**flags, "train_weight": weight, "seed": seed})


def run(file: Path = RESULTS) -> None:
    """Does what the file does not hold yet."""
    grid.run(file, trials(), world.unswept_scenes(PROMPTS))


def table(file: Path = RESULTS) -> str:
    """A row an objective, training weight and use: the share right by seed, the mean, and the
    paired gain over the bare base with all seeds' pictures together."""
    lines = [
        "| objective | weight in training | strength | right, by seed | mean | gain |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for entry in grid.read(file):
        flags = entry["flags"]
        groups.setdefault(
            (flags["objective"], flags["train_weight"], *grid.use(entry).values()), []
        ).append(entry)
    for (objective, weight, strength, *strength_as), entries in groups.items():
        shares = [np.mean([bit == "1" for bit in entry["after"]]) for entry in entries]
        before, after = (
            [bit == "1" for entry in entries for bit in entry[side]] for side in ("before", "after")
        )
        how = f"{strength:g}{' in attention' if strength_as else ''}"
        by_seed = ", ".join(f"{100 * share:.1f}" for share in shares)
        lines.append(
            f"| {objective} | {weight:g} | {how} | {by_seed} % | {100 * np.mean(shares):.1f} % "
            f"| {gain(paired(before, after))} |"
        )
    return "\n".join(lines)
