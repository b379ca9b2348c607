"""An interval for a share that stays valid however often, and whenever, one looks.

A gambler who bets against "the true share is m" on one answer after another cannot expect to
win where m is true, so by Ville's inequality their capital ever reaches 1/alpha with a chance of at
most alpha. The shares m whose gambler has not reached 1/alpha are the interval, at every moment at
once (Waudby-Smith and Ramdas, arXiv 2010.09686). Our gambler mixes over all shares p by a
Beta(PRIOR, PRIOR) and after answers x_1 ... x_n in [0, 1], of sum s, holds

    B(PRIOR + s, PRIOR + n - s) / B(PRIOR, PRIOR) / (m^s (1 - m)^(n - s))

For answers of 0 or 1 this is the capital exactly (Robbins 1970). For answers between them it is
no more than the capital, since x p/m + (1 - x)(1 - p)/(1 - m) is at least
(p/m)^x ((1 - p)/(1 - m))^(1 - x): weighted means.

The answers must come from different prompts: votes on one prompt are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

PRIOR = 5.0
"""Bets on shares between about .3 and .7, where adapters are; it changes power only."""
ALPHA = 0.05


@dataclass(frozen=True)
class Anytime:
    """`count` answers of sum `won`, and what they say at any time.

    `first`: after how many answers the interval first left a half, or None. Once it did, that
    stands, though later intervals may hold a half again. `direction`: 1 where it left above a
    half, -1 below, 0 where it never did.
    """

    won: float
    count: int
    first: int | None
    direction: int
    alpha: float = ALPHA

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence sequence of the share won, now: (low, high) in 0..1."""
        return interval(self.won, self.count, self.alpha)


def log_capital(won: ArrayLike, count: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
    """The logarithm of the gambler's capital against `share`, for sums `won` of `count` answers."""
    s, n, m = (np.asarray(value, dtype=float) for value in (won, count, share))
    bet = special.betaln(PRIOR + s, PRIOR + n - s) - special.betaln(PRIOR, PRIOR)
    return bet - special.xlogy(s, m) - special.xlogy(n - s, 1 - m)


def interval(won: float, count: int, alpha: float = ALPHA) -> tuple[float, float]:
    """The confidence sequence after `count` answers of sum `won`: (low, high) in 0..1."""
    if not 0 <= won <= count:
        raise ValueError(f"{won} of {count} answers cannot be won")
    if count == 0:
        return 0.0, 1.0
    best = won / count

    def excess(share: float) -> float:
        return float(log_capital(won, count, share)) - log(1 / alpha)

    tiny = 1e-12
    low = 0.0 if won == 0 else _root(excess, tiny, best)
    high = 1.0 if won == count else _root(excess, 1 - tiny, best)
    return low, high


def _root(function, outside: float, inside: float) -> float:
    inside = min(max(inside, 1e-12), 1 - 1e-12)
    if function(inside) >= 0 or function(outside) <= 0:
        return outside
    return float(optimize.brentq(function, *sorted((outside, inside)), xtol=1e-10))


def left_half(answers: ArrayLike, alpha: float = ALPHA) -> NDArray[np.int8]:
    """Where the interval excludes a half: 1 above it, -1 below, 0 nowhere.

    answers: (..., N) in 0..1, in the order given. Gives (..., N), one for every look.
    """
    x = np.asarray(answers, dtype=float)
    won, count = x.cumsum(axis=-1), np.arange(1, x.shape[-1] + 1)
    outside = log_capital(won, count, 0.5) >= log(1 / alpha)
    return (np.sign(won - count / 2) * outside).astype(np.int8)


def sequence(answers: Sequence[float], alpha: float = ALPHA) -> Anytime:
    """The state after all answers (0..1, one a prompt, in the order given)."""
    if not len(answers):
        return Anytime(0.0, 0, None, 0, alpha)
    looks = left_half(answers, alpha)
    hits = np.flatnonzero(looks)
    first = int(hits[0]) + 1 if hits.size else None
    direction = int(looks[first - 1]) if first else 0
    return Anytime(float(np.sum(answers)), len(answers), first, direction, alpha)
