"""What does a pair evaluation bring? Negatives, batch, steps and replay at equal evaluations.

A forward pass counts 1 and a backward pass 2, a pair of picture and caption each. Settings are
chosen on the sweep's prompts, a part of them a training seed, so that seeds and prompts average out
together; those chosen are trained with other seeds and judged on prompts that chose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...training.objectives import OBJECTIVES
from .. import world
from . import curves, grid, page

RESULTS = grid.FINDINGS / "economy.jsonl"
PLOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "economy.png"
OBJECTIVES_TRIED: Mapping[str, str] = MappingProxyType({"softrepa": "SoftREPA", "agsm": "AGSM"})
STRENGTHS = (1.0, 0.5)
PARTS = ("choosing", "confirming")
CHOOSING = (0, 1, 2, 3)
"""Training seeds; each has a part of the sweep's prompts to itself."""
CONFIRMING = (10, 11, 12)
"""Seeds that chose nothing; each has all of the prompts that chose nothing, and is trained with
timestep offsets, as SD3 is by default."""
PROMPTS = 250
PLAIN: Mapping[str, Any] = {**grid.COMMON, **grid.BEYOND}


@dataclass(frozen=True)
class Curve:
    """A setting: what it changes in PLAIN, and after how many steps it is tried, by objective."""

    flags: Mapping[str, Any]
    softrepa: tuple[int, ...] = ()
    agsm: tuple[int, ...] = ()


EIGHT_BITS = "1 negative, texts in 8 bits"
CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "1 negative": Curve({"negatives": 1}, (50, 100, 200, 400), (200, 400)),
        "3 negatives": Curve({"negatives": 3}, (100, 200)),
        "7 negatives": Curve({}, (50, 100, 200, 400), (50, 200)),
        "7 negatives, 1 replayed": Curve({"replay": 1}, (100, 200)),
        "1 negative, batch 4": Curve({"negatives": 1, "batch_size": 4}, (200, 400)),
        "1 negative, batch 16": Curve({"negatives": 1, "batch_size": 16}, (100, 200)),
        "1 negative, weight 2": Curve({"negatives": 1, "train_weight": 2.0}, (200,)),
        EIGHT_BITS: Curve({"negatives": 1, "text_bits": 8}),
    }
)
"""The batch has 8 pictures where nothing else is said."""
CHOSEN: tuple[tuple[str, str, int], ...] = (
    ("softrepa", "7 negatives", 400),
    ("softrepa", "1 negative", 200),
    ("softrepa", EIGHT_BITS, 200),
)
"""Objective, curve and steps of what is confirmed; the first is what there was before."""


@dataclass(frozen=True)
class Priced(grid.Trial):
    """A training whose tokens are used at every strength after each of its counts of steps."""

    strengths: tuple[float, ...] = STRENGTHS

    def findings(self) -> list[dict[str, Any]]:
        return [
            {"flags": dict(self.flags), "steps": steps, "strength": strength}
            for steps in self.at
            for strength in self.strengths
        ]


def flags_of(objective: str, curve: str, seed: int) -> dict[str, Any]:
    flags = {**PLAIN, **CURVES[curve].flags, "objective": objective, "seed": seed}
    return flags | {"time_offsets": seed in CONFIRMING}


def tried(seed: int) -> Iterator[Priced]:
    """What is chosen from, for one seed."""
    for objective in OBJECTIVES_TRIED:
        for name, curve in CURVES.items():
            if at := getattr(curve, objective):
                yield Priced(flags_of(objective, name, seed), at)


def confirmed() -> Iterator[Priced]:
    """A seed at a time, so that what is there when time runs out compares like with like; cheap
    ones first, and texts in 8 bits, which are no matter of evaluations, last."""

    def cost(name: tuple[str, str, int]) -> int:
        return evaluations(flags_of(*name[:2], 0), name[2])

    priced = sorted((name for name in CHOSEN if name[1] != EIGHT_BITS), key=cost)
    for seed in CONFIRMING:
        for objective, curve, steps in priced:
            yield Priced(flags_of(objective, curve, seed), (steps,))
    for seed in CONFIRMING:
        yield Priced(flags_of("softrepa", EIGHT_BITS, seed), (200,), STRENGTHS[1:])


def scenes_of(seed: int) -> list[world.Scene]:
    """A choosing seed's part of the sweep's prompts."""
    scenes = world.held_out_scenes(grid.PROMPTS, grid.PROMPTS_SEED)
    return scenes[seed :: len(CHOOSING)]


def run(parts: Sequence[str] = PARTS, minutes: float | None = None) -> None:
    """Does what the file does not hold yet, as far as `minutes` reach."""
    for seed in CHOOSING if "choosing" in parts else ():
        minutes = grid.run(RESULTS, tried(seed), scenes_of(seed), minutes=minutes)
    if "confirming" in parts:
        grid.run(RESULTS, confirmed(), world.unswept_scenes(PROMPTS), minutes=minutes)


def evaluations(flags: Mapping[str, Any], steps: int) -> int:
    """Pair evaluations of a training, where the micro-batch holds a picture's row.

    SoftREPA predicts once and keeps the graph; where the moving average is asked, or a part is
    replayed, what has a gradient is predicted once more.
    """
    batch = flags["batch_size"]
    pairs = batch * (1 + (flags.get("negatives") or batch - 1))
    replay = flags.get("replay")
    graphs = pairs if replay is None else batch * (1 + replay)
    twice = replay is not None or OBJECTIVES[flags["objective"]].SURVEY == "average"
    return steps * (3 * graphs + (pairs if twice else 0))


Found = dict[tuple[str, str, int], dict[float, dict[int, tuple[NDArray[Any], NDArray[Any]]]]]
"""By objective, curve and steps, by strength: verdicts."""


def told(flags: Mapping[str, Any]) -> str:
    """A training's name."""
    return json.dumps(flags, sort_keys=True)


def found(seeds: Sequence[int]) -> Found:
    """The findings of these seeds."""
    names = {
        told(flags_of(objective, curve, seed)): (objective, curve)
        for objective in OBJECTIVES_TRIED
        for curve in CURVES
        for seed in seeds
    }
    made: Found = {}
    for entry in grid.read(RESULTS):
        name = names.get(told(entry["flags"]))
        if name is not None:
            both = page.numbers(entry["after"]), page.numbers(entry["before"])
            by_strength = made.setdefault((*name, entry["steps"]), {})
            by_strength.setdefault(entry["strength"], {})[entry["flags"]["seed"]] = both
    return made


def show() -> str:
    """Puts both tables into demo/RESULTS.md and draws the curves."""
    draw(PLOT)
    return "\n\n".join(page.put(table) for table in (chosen_from(), confirmation()))


def draw(file: Path) -> None:
    """A panel an objective and strength, a curve a setting."""
    made, rows = found(CHOOSING), []
    for objective in OBJECTIVES_TRIED:
        panels = []
        for strength in STRENGTHS:
            points: dict[str, list[tuple[float, float]]] = {}
            for curve, steps in sorted({key[1:] for key in made if key[0] == objective}):
                if seeds := made[objective, curve, steps].get(strength):
                    cost = evaluations(flags_of(objective, curve, 0), steps)
                    gain = 100 * float(gains_of(seeds).mean())
                    points.setdefault(curve, []).append((cost, gain))
            ordered = {curve: points[curve] for curve in CURVES if curve in points}
            title = f"{OBJECTIVES_TRIED[objective]}, strength {strength:g}"
            panels.append(curves.Panel(f"{title}: gain in points", ordered))
        if any(panel.curves for panel in panels):
            rows.append(panels)
    before = evaluations(flags_of(*CHOSEN[0][:2], 0), CHOSEN[0][2])
    marks = {"an eighth": before / 8, "before": before}
    curves.draw(rows, file, "pair evaluations in training", marks)


def chosen_from() -> str:
    """A row a setting and count of steps, and the gain at each strength, over seeds and prompts."""
    made = found(CHOOSING)
    lines = [
        "| objective | setting | steps | evaluations | gain at 1 | gain at 0.5 | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for objective in OBJECTIVES_TRIED:
        for curve in CURVES:
            for steps in sorted({key[2] for key in made if key[:2] == (objective, curve)}):
                by_strength = made[objective, curve, steps]
                if len(by_strength) == len(STRENGTHS):
                    lines.append(_row(objective, curve, steps, by_strength))
    return "\n".join(lines)


def _row(objective: str, curve: str, steps: int, by_strength: Mapping[float, Any]) -> str:
    gains = (page.points(gains_of(by_strength[strength])) for strength in STRENGTHS)
    seeds = min(len(seeds) for seeds in by_strength.values())
    cost = evaluations(flags_of(objective, curve, 0), steps)
    cells = [objective, curve, steps, f"{cost:,}", *gains, seeds]
    return f"| {' | '.join(map(str, cells))} |"


def gains_of(seeds: page.Verdicts) -> NDArray[Any]:
    """Each prompt's gain, of the seeds' own prompts one after another."""
    return np.concatenate([after - before for after, before in seeds.values()])


def confirmation() -> str:
    """A row a setting and strength, on prompts and seeds that chose nothing; "over before" is over
    CHOSEN's first with the same seeds, used at strength 1 and at the row's own."""
    made = found(CONFIRMING)
    lines = [
        "| objective | setting | steps | evaluations | strength | right, by seed | gain "
        "| over before at 1 | over before, same strength |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    before = made.get(CHOSEN[0], {})
    for objective, curve, steps in CHOSEN:
        for strength, seeds in made.get((objective, curve, steps), {}).items():
            cells = [
                objective,
                curve,
                steps,
                f"{evaluations(flags_of(objective, curve, 0), steps):,}",
                f"{strength:g}",
                ", ".join(f"{share:.1f}" for share in page.shares(seeds)),
                page.gain(seeds),
                *(page.over(seeds, before.get(other, {})) for other in (1.0, strength)),
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
