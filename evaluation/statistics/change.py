"""Whether values that come one after another have shifted, however often one looks.

While nothing changes, every order of the values is as likely as any other, and the place of a new
value among those before it is uniform whatever their distribution. A bet against that, which may
begin at any tenth value, multiplies its stake when places crowd at one end. In a series without a
shift the stake ever passes 1/alpha with a chance of at most alpha (Ville). Such tests: Vovk,
"Testing randomness online", Statistical Science 36 (2021).
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

ALPHA = 0.01
_BETS = (-1.9, -1.0, 1.0, 1.9)
"""Slopes: the stake is multiplied by 1 + slope (place - 1/2)."""
_EVERY = 10
_FEWEST = 5


@dataclass(frozen=True)
class Shift:
    """at: index of the first value after it, as likely as can be told. seen: index of the value
    with which it was certain. before, after: means of the stretches on both sides, up to the
    shift before it and the one after."""

    at: int
    seen: int
    before: float
    after: float


def shifts(values: Sequence[float], alpha: float = ALPHA, seed: str = "") -> list[Shift]:
    """The shifts in values that are in the order they came in.

    Of stretches without a shift, a share of at most alpha is ever said to have one. After a shift
    the test begins anew with the values that come then. seed: breaks ties; another one for every
    series, and always the same one for it.
    """
    found: list[tuple[int, int]] = []
    start, since = 0, 0
    for seen in _alarms(values, alpha, seed):
        at = _most_likely(values[since : seen + 1], max(start - since, 0)) + since
        found.append((at, seen))
        start, since = seen + 1, at
    edges = [0, *(at for at, _ in found), len(values)]
    means = found and [float(np.mean(values[a:b])) for a, b in pairwise(edges)]
    return [
        Shift(at, seen, before, after)
        for (at, seen), before, after in zip(found, means, means[1:], strict=False)
    ]


def _alarms(values: Sequence[float], alpha: float, seed: str) -> Iterator[int]:
    drawn = random.Random(seed)
    past: list[float] = []
    stakes = [0.0] * len(_BETS)
    for index, value in enumerate(values):
        at = len(past)
        if at % _EVERY == 0:
            begun = at // _EVERY + 1  # bets begin with 1/2, 1/6, 1/12 … of the stake
            stakes = [stake + 1 / (begun * (begun + 1)) / len(_BETS) for stake in stakes]
        below, upto = bisect_left(past, value), bisect_right(past, value)
        place = (below + drawn.random() * (upto - below + 1)) / (at + 1)
        insort(past, value)
        stakes = [
            stake * (1 + slope * (place - 0.5)) for stake, slope in zip(stakes, _BETS, strict=True)
        ]
        if sum(stakes) + 1 / (begun + 1) >= 1 / alpha:
            yield index
            past, stakes = [], [0.0] * len(_BETS)


def _most_likely(values: Sequence[float], earliest: int) -> int:
    """Where the ranks before and after differ most (Pettitt), a few values from either end."""
    ranks = np.argsort(np.argsort(np.asarray(values, dtype=float), kind="stable")) + 1.0
    count = len(ranks)
    before = np.arange(1, count)
    apart = np.abs(2 * np.cumsum(ranks)[:-1] - before * (count + 1))
    first = min(max(earliest, _FEWEST), count - 1) - 1
    last = max(first + 1, count - 1)
    scaled = apart / np.sqrt(before * (count - before))
    return first + int(np.argmax(scaled[first:last])) + 1
