"""How the sweep's tables stand in demo/RESULTS.md, and what their cells say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
