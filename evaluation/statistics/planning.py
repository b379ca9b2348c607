"""How many decisive votes a comparison needs, planned before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

MOST = 20_000
"""Votes beyond which no plan is made."""


def critical(count: ArrayLike, alpha: float = 0.05) -> NDArray[np.int64]:
    """The fewest wins of `count` votes at which the exact two-sided sign test has p <= alpha.

    count + 1 where no number of wins does.
    """
    n = np.asarray(count)
    c = (n - stats.binom.ppf(alpha / 2, n, 0.5) + 1).astype(np.int64)
    # ppf gives the least k with P(X <= k) >= alpha / 2; the tail below it is wide enough or equal.
    exact = stats.binom.cdf(n - c + 1, n, 0.5) <= alpha / 2 * (1 + 1e-12)
    return c - exact


def power(count: ArrayLike, share: float, alpha: float = 0.05) -> NDArray[np.float64]:
    """The chance that the test finds a difference in either direction, for a true `share`."""
    n, c = np.asarray(count), critical(count, alpha)
    return stats.binom.sf(c - 1, n, share) + stats.binom.cdf(n - c, n, share)


def votes_needed(
    share: float,
    power_wanted: float = 0.8,
    alpha: float = 0.05,
    per_prompt: float = 1.0,
    alike: float = 0.0,
) -> int:
    """Decisive votes for a true `share` (not a half) to be found with that power.

    From this number on the power is never below the one wanted (it is not monotone, since votes
    are whole). per_prompt: decisive votes on one prompt; alike: their correlation, 0..1, by which
    more votes are needed (the design effect). ValueError for what no number of votes can show.
    """
    if not 0 < share < 1 or share == 0.5:
        raise ValueError(f"a share of {share} cannot be told from a half by votes")
    counts = np.arange(1, MOST + 1)
    short = np.flatnonzero(power(counts, share, alpha) < power_wanted)
    last = int(counts[short[-1]]) if short.size else 0
    if last == MOST:
        raise ValueError(f"a share of {share} needs more than {MOST} votes")
    return int(np.ceil((last + 1) * (1 + (per_prompt - 1) * alike)))
