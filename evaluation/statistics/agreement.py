"""Whether those who judge agree: voters with each other, scorers with voters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy import stats

from .rates import Rate, wilson


def cohen(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Cohen's kappa of two voters' answers to the same questions; nan where chance is all.

    ValueError for lists of different length, or none.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"answers to the same questions needed, got {len(one)} and {len(other)}")
    count = len(one)
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / count
    first, second = Counter(one), Counter(other)
    chance = sum(first[answer] * second[answer] for answer in first) / count**2
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def krippendorff(units: Sequence[Sequence[Hashable]]) -> float:
    """Krippendorff's alpha for names without order; each unit holds the answers it was given.

    Units with a single answer tell nothing. nan where no two answers can be compared, or all
    answers are one.
    """
    pairs: Counter[tuple[Hashable, Hashable]] = Counter()
    for answers in units:
        counts = Counter(answers)
        total = sum(counts.values())
        if total < 2:
            continue
        for a, b in ((a, b) for a in counts for b in counts):
            pairs[a, b] += counts[a] * (counts[b] - (a == b)) / (total - 1)
    margins: Counter[Hashable] = Counter()
    for (a, _), weight in pairs.items():
        margins[a] += weight
    n = sum(margins.values())
    expected = n * n - sum(m * m for m in margins.values())
    if not expected:
        return float("nan")
    apart = sum(weight for (a, b), weight in pairs.items() if a != b)
    return float(1 - (n - 1) * apart / expected)


def follows(
    score: Mapping[Hashable, float], votes: Mapping[Hashable, float]
) -> tuple[Rate | None, float]:
    """How a scorer's differences go with the voters' (both: positive for the same arm).

    Gives the share of pairs decided by both in which they name the same arm, None where there is
    none, and Kendall's tau over all pairs that both have, nan where it cannot be told.
    """
    shared = [key for key in votes if key in score]
    s, v = np.array([score[k] for k in shared]), np.array([votes[k] for k in shared])
    decided = (s != 0) & (v != 0) if shared else np.array([], dtype=bool)
    same = int((np.sign(s[decided]) == np.sign(v[decided])).sum()) if decided.any() else 0
    rate = wilson(same, int(decided.sum())) if decided.any() else None
    varied = len(shared) > 1 and np.ptp(s) > 0 and np.ptp(v) > 0
    return rate, float(stats.kendalltau(s, v).statistic) if varied else float("nan")
