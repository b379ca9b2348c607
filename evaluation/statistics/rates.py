"""Rates of right answers, with intervals, and exact tests of paired ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from scipy import stats

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


def wilson(right: int, count: int) -> Rate:
    """A rate with Wilson's score interval. ValueError for no answers."""
    if count == 0:
        raise ValueError("a rate needs at least one answer")
    interval = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    return Rate(right, count, float(interval.low), float(interval.high))


def rate(answers: Sequence[bool]) -> Rate:
    """The share of true answers with Wilson's score interval. ValueError for no answers."""
    return wilson(sum(map(bool, answers)), len(answers))


def sign_test(won: int, lost: int) -> float:
    """Exact two-sided p of a fair coin, ties left out; 1 where nothing was decided."""
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


mcnemar = sign_test
"""McNemar's exact test is the sign test of the answers that changed."""


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
