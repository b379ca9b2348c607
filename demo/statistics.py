"""The few statistics the demo reports: intervals for rates, and tests of paired answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

NORMAL_95 = 1.959963984540054
"""Half-width of a 95 % interval in standard errors."""


@dataclass(frozen=True)
class Rate:
    """`right` of `count` answers; `share` with its 95 % interval, all in 0..1."""

    right: int
    count: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The observed rate."""
        return self.right / self.count

    def __str__(self) -> str:
        return f"{self.share:.1%} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True)
class Paired:
    """Two lists of answers to the same questions.

    `gained`: wrong before, right after; `lost`: the reverse. `gain` is the change of the
    rate, -1..1, with its 95 % interval; `p` the two-sided exact McNemar test of no change.
    """

    gained: int
    lost: int
    gain: float
    low: float
    high: float
    p: float


def rate(answers: Sequence[bool]) -> Rate:
    """The share of true answers with Wilson's score interval. ValueError for no answers."""
    count, right = len(answers), sum(map(bool, answers))
    if count == 0:
        raise ValueError("a rate needs at least one answer")
    square = NORMAL_95**2
    middle = (right + square / 2) / (count + square)
    half = NORMAL_95 / (count + square) * sqrt(right * (count - right) / count + square / 4)
    low = 0.0 if right == 0 else middle - half
    high = 1.0 if right == count else middle + half
    return Rate(right, count, low, high)


def paired(before: Sequence[bool], after: Sequence[bool]) -> Paired:
    """Compare two lists of answers to the same questions, in the same order.

    The interval is Agresti and Min's: a Wald interval with half an answer added to each of
    the four cells. ValueError for lists of different length, or none.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"paired answers needed, got {len(before)} and {len(after)}")
    count = len(before)
    gained = sum(1 for b, a in zip(before, after, strict=True) if a and not b)
    lost = sum(1 for b, a in zip(before, after, strict=True) if b and not a)
    total, change = count + 2, gained - lost
    half = NORMAL_95 * sqrt(max(0.0, gained + lost + 1 - change**2 / total)) / total
    middle = change / total
    return Paired(gained, lost, change / count, middle - half, middle + half, mcnemar(gained, lost))


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p of McNemar's test: a fair coin over the answers that changed."""
    changed, fewer = gained + lost, min(gained, lost)
    tail = sum(comb(changed, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**changed)
