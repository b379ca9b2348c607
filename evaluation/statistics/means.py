"""Mean differences of scores between two arms, prompt by prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import stats

# SciPy renamed the argument in 1.15; ComfyUI asks for no version.
_RNG = "rng" if tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 15) else "random_state"
RESAMPLES = 4_000
_EXACT = 12
"""Prompts up to which every assignment of signs is tried."""


@dataclass(frozen=True)
class Difference:
    """The mean over prompts of after - before, in the score's unit, with its 95 % interval.

    `prompts`: how many; `rose`, `fell`: on how many the score did. `p`: two-sided test that
    signs are random.
    """

    mean: float
    low: float
    high: float
    prompts: int
    rose: int
    fell: int
    p: float


def by_prompt(values: Mapping[tuple[str, int], float]) -> dict[str, float]:
    """The mean over seeds of each prompt, from values by (prompt, seed)."""
    found: dict[str, list[float]] = {}
    for (prompt, _), value in values.items():
        found.setdefault(prompt, []).append(value)
    return {prompt: float(np.mean(each)) for prompt, each in found.items()}


def differences(
    before: Mapping[tuple[str, int], float], after: Mapping[tuple[str, int], float]
) -> dict[str, float]:
    """after - before by prompt, over the (prompt, seed) that both have."""
    shared = [key for key in before if key in after]
    return by_prompt({key: after[key] - before[key] for key in shared})


def difference(values: ArrayLike, seed: int = 0) -> Difference:
    """Summarise one difference a prompt, shape (P,). ValueError for none.

    Interval: bootstrap over prompts (bias-corrected and accelerated). Test: random signs, exact
    for few prompts. Both are seeded, so a report made twice says the same.
    """
    d = np.asarray(values, dtype=float)
    if d.size == 0:
        raise ValueError("a difference needs at least one prompt")
    low, high = bootstrap(d, seed)
    rose, fell = int((d > 0).sum()), int((d < 0).sum())
    return Difference(float(d.mean()), low, high, d.size, rose, fell, random_signs(d, seed))


def bootstrap(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """A 95 % interval of the mean. From a single value nothing can be told: (-inf, inf)."""
    if values.size < 2:
        return -np.inf, np.inf
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    seeded = {_RNG: np.random.default_rng(seed)}
    # Memory: at most some millions of numbers at a time.
    batch = max(1, 2_000_000 // values.size)
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="BCa", batch=batch, **seeded
    ).confidence_interval
    return float(found.low), float(found.high)


def random_signs(values: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p of the mean of differences whose signs would be random under no effect."""
    decided = values[values != 0]
    if decided.size == 0:
        return 1.0
    total = abs(decided.sum()) * (1 - 1e-12)
    if decided.size <= _EXACT:
        signs = 1 - 2 * ((np.arange(2**decided.size)[:, None] >> np.arange(decided.size)) & 1)
        return float(np.mean(np.abs(signs @ decided) >= total))
    rng, extreme, done = np.random.default_rng(seed), 0, 0
    while done < RESAMPLES:
        count = min(RESAMPLES - done, max(1, 2_000_000 // decided.size))
        signs = rng.integers(0, 2, (count, decided.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ decided) >= total).sum())
        done += count
    return (extreme + 1) / (RESAMPLES + 1)
