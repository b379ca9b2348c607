"""How the sweep's tables stand in demo/RESULTS.md, and what their cells say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.statistics.rates import NORMAL_95

PAGE = Path(__file__).resolve().parents[1] / "RESULTS.md"


def put(table: str, page: Path = PAGE) -> str:
    """Puts a table in the place of the one with the same first line, and gives it."""
    new = table.splitlines()
    lines = page.read_text(encoding="utf-8").splitlines()
    start = lines.index(new[0])
    end = start
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    page.write_text("\n".join([*lines[:start], *new, *lines[end:]]) + "\n", encoding="utf-8")
    return table


def numbers(bits: str) -> NDArray[np.float64]:
    """Each prompt's verdict, 1 or 0."""
    return np.array([float(bit) for bit in bits])


def points(changes: NDArray[np.float64] | Sequence[float]) -> str:
    """Mean change in points with its 95 % interval over prompts; changes: one a prompt."""
    by_prompt = 100 * np.asarray(changes)
    mean, half = by_prompt.mean(), NORMAL_95 * by_prompt.std(ddof=1) / len(by_prompt) ** 0.5
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


Verdicts = Mapping[int, tuple[NDArray[Any], NDArray[Any]]]
"""By training seed: each prompt's verdict, 1 or 0, with the adapter, and without."""


def shares(seeds: Verdicts) -> list[float]:
    """The share right with the adapter, in percent, by seed."""
    return [100 * seeds[seed][0].mean() for seed in sorted(seeds)]


def gain(seeds: Verdicts) -> str:
    """Over the bare base, each prompt's mean over the seeds."""
    return points(np.mean([after - before for after, before in seeds.values()], axis=0))


def over(seeds: Verdicts, others: Verdicts) -> str:
    """The gain over others with the same seeds; nothing where they are the same, or share none."""
    shared = [] if seeds is others else sorted(seeds.keys() & others.keys())
    if not shared:
        return ""
    return points(np.mean([seeds[seed][0] - others[seed][0] for seed in shared], axis=0))
