"""What painting took, by arm: seconds an image and memory, from the painters' `painted.jsonl`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...trial import Cell, Trial, records
from ...trial.folder import PAINTED

SLOWEST = 1e7
"""Seconds of a picture that is believed."""
LARGEST = 1 << 50
"""Bytes of memory that are believed."""


@dataclass(frozen=True)
class Painted:
    """How one picture was painted. memory: peak bytes, or None where nobody counted."""

    cell: Cell
    seconds: float
    memory: int | None
    device: str


@dataclass(frozen=True)
class Cost:
    """An arm on a device. `seconds`: the median of a picture with its middle half (`low`, `high`),
    the first picture left out where there are others: it loads the models. `first`: its seconds.
    `memory`: the highest peak in bytes, None where nobody counted."""

    arm: str
    device: str
    pictures: int
    seconds: float
    low: float
    high: float
    first: float
    memory: int | None


def costs(trial: Trial) -> tuple[Cost, ...]:
    """One for each arm and device, in the trial's order of arms; none where nothing was kept."""
    last: dict[Cell, Painted] = {}
    cells = set(trial.cells())
    for entry in records.read(trial.folder / PAINTED):
        painted = as_painted(entry)
        if painted and painted.cell in cells:
            # A picture that was painted anew counts as it is now, at its place in time.
            last.pop(painted.cell, None)
            last[painted.cell] = painted
    by_arm: dict[tuple[str, str], list[Painted]] = {}
    for painted in last.values():
        by_arm.setdefault((painted.cell.arm, painted.device), []).append(painted)
    order = {arm.name: at for at, arm in enumerate(trial.manifest.arms)}
    keys = sorted(by_arm, key=lambda key: (order[key[0]], key[1]))
    return tuple(_cost(*key, by_arm[key]) for key in keys)


def _cost(arm: str, device: str, painted: list[Painted]) -> Cost:
    seconds = [each.seconds for each in painted]
    low, median, high = np.quantile(seconds[1:] or seconds, [0.25, 0.5, 0.75])
    peaks = [each.memory for each in painted if each.memory is not None]
    memory = max(peaks, default=None)
    return Cost(
        arm, device, len(painted), float(median), float(low), float(high), seconds[0], memory
    )


def as_painted(entry: Mapping[str, Any]) -> Painted | None:
    """What a line says; None where it does not say it soundly."""
    keys = ("arm", "prompt", "seed", "seconds", "memory", "device")
    arm, prompt, seed, seconds, memory, device = map(entry.get, keys)
    if not all(isinstance(text, str) for text in (arm, prompt)) or type(seed) is not int:
        return None
    if type(seconds) not in (int, float) or not 0 <= seconds <= SLOWEST:
        return None
    if memory is not None and not (type(memory) is int and 0 <= memory <= LARGEST):
        memory = None
    device = device[:100] if isinstance(device, str) else ""
    return Painted(Cell(arm, prompt, seed), float(seconds), memory, device)


def against(cost: Cost, all_costs: Iterable[Cost], base: str) -> float | None:
    """How much longer a picture takes than the base's on the same device, as a share; None for the
    base itself, or where the base was painted elsewhere."""
    there = (c for c in all_costs if (c.arm, c.device) == (base, cost.device))
    other = next(there, None)
    if other is None or cost.arm == base or other.seconds == 0:
        return None
    return cost.seconds / other.seconds - 1
