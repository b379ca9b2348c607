"""Do tokens that counted twice in training's attention do better at strength 1? Three seeds, both
objectives, on prompts that chose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import world
from . import grid

Use = tuple[str, float, float, str]
"""Objective, weight in training, strength, and what the strength is."""
Found = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Each prompt's verdict, 1 or 0: with the adapter, and of the bare base."""

RESULTS = Path(__file__).with_name("train_weight.jsonl")
PAGE = Path(__file__).resolve().parents[1] / "RESULTS.md"
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
    """A row an objective, training weight and use: the share right by seed, its mean, the gain over
    the bare base, and that over ordinary training at strength 1 with the same seeds.

    Gains in points, with 95 % intervals over prompts, a prompt's mean over the seeds each; they
    hold for these trainings, of which the shares by seed show the spread.
    """
    lines = [
        "| objective | weight in training | strength | right, by seed | mean | gain "
        "| over ordinary at 1 |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[Use, dict[int, Found]] = {}
    for entry in grid.read(file):
        flags = entry["flags"]
        how = (entry["strength"], entry.get("strength_as", "blend"))
        seeds = groups.setdefault((flags["objective"], flags["train_weight"], *how), {})
        seeds[flags["seed"]] = _numbers(entry["after"]), _numbers(entry["before"])
    for use, seeds in groups.items():
        objective, weight, strength, strength_as = use
        ordinary = (objective, 1.0, 1.0, "blend")
        shared = sorted(seeds.keys() & groups.get(ordinary, {}).keys())
        shares = [100 * seeds[seed][0].mean() for seed in sorted(seeds)]
        over = "" if use == ordinary else _over(seeds, groups.get(ordinary, {}), shared)
        cells = [
            objective,
            f"{weight:g}",
            f"{strength:g}{' in attention' if strength_as == 'attention' else ''}",
            ", ".join(f"{share:.1f}" for share in shares),
            f"{np.mean(shares):.1f} %",
            _points([after - before for after, before in seeds.values()]),
            over,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def show(page: Path = PAGE) -> None:
    """Puts the table into demo/RESULTS.md, in the place of the earlier one."""
    new = table().splitlines()
    lines = page.read_text(encoding="utf-8").splitlines()
    start = lines.index(new[0])
    end = start
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    page.write_text("\n".join([*lines[:start], *new, *lines[end:]]) + "\n", encoding="utf-8")


def _over(seeds: dict[int, Found], others: dict[int, Found], shared: list[int]) -> str:
    return _points([seeds[seed][0] - others[seed][0] for seed in shared]) if shared else ""


def _points(changes: list[NDArray[np.float64]]) -> str:
    by_prompt = 100 * np.mean(changes, axis=0)
    mean, half = by_prompt.mean(), 1.96 * by_prompt.std(ddof=1) / len(by_prompt) ** 0.5
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def _numbers(bits: str) -> NDArray[np.float64]:
    return np.array([float(bit) for bit in bits])
