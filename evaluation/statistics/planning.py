"""How many decisive votes a comparison needs, planned before it begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .decision import decide
from .verdict import GO, by_votes

MOST = 20_000
"""Votes beyond which no plan is made."""
ALIKE = 0.2
"""Correlation of two voters' answers on one prompt, in the simulation of a plan."""


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


def prompts_needed(effect: float, power_wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Prompts on which a paired t test finds a mean difference of `effect` with that power.

    effect: in standard deviations of the prompts' differences, not zero. The test of random signs
    needs as many. ValueError for what no number of prompts can show.
    """
    counts = np.arange(2, MOST + 1)
    edge = stats.t.ppf(1 - alpha / 2, counts - 1)
    found = stats.nct.sf(edge, counts - 1, abs(effect) * np.sqrt(counts))
    enough = np.flatnonzero(found >= power_wanted)
    if not enough.size:
        raise ValueError(f"an effect of {effect} needs more than {MOST} prompts")
    return int(counts[enough[0]])


def chance_of_go(
    share: float, prompts: int, planned: int, go: float, no_go: float = 0.5, trials: int = 400
) -> float:
    """How often a pilot of `planned` decisive votes over these prompts ends in go, simulated.

    share: what the candidate truly wins. Votes of one prompt are alike, with a correlation of
    ALIKE, which costs power where a prompt has several. Seeded.
    """
    rng, found = np.random.default_rng(0), 0
    a, b = (part * (1 / ALIKE - 1) for part in (share, 1 - share))
    for _ in range(trials):
        likely = rng.beta(a, b, prompts)
        order = rng.permutation(np.resize(np.arange(prompts), planned))
        won = rng.random(planned) < likely[order]
        decision = decide(list(map(str, order)), list(won), planned)
        found += by_votes(decision, go, no_go).called == GO
    return found / trials
