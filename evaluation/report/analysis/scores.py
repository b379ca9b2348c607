"""What a scorer says of two arms, over all prompts and category by category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...statistics.means import Difference, by_prompt, difference, differences
from ...statistics.multiple import holm
from ...statistics.rates import sign_test
from ...trial import Prompt, Score

Values = Mapping[tuple[str, int], float]
"""A score by (prompt, seed)."""


@dataclass(frozen=True)
class Row:
    """One line of a table: an arm against the base, on all prompts or those of a category.

    `adjusted` is p by Holm, over the categories, or, for all prompts, over the scorers.
    """

    base: float
    arm: float
    difference: Difference
    adjusted: float

    @property
    def falls(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.difference.high < 0

    @property
    def rises(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.difference.low > 0


@dataclass(frozen=True)
class ScorerResult:
    """A scorer's view. `share`: its values are 0 or 1, right or wrong. `by_pair`: the difference
    of each picture pair, by (prompt, seed)."""

    scorer: str
    share: bool
    overall: Row
    categories: Mapping[str, Row]
    by_pair: Values

    @property
    def by_prompt(self) -> dict[str, float]:
        """The mean difference of each prompt."""
        return by_prompt(self.by_pair)


def scorers(scores: Iterable[Score]) -> list[str]:
    """The scorers' names, in the order in which they first scored."""
    return list(dict.fromkeys(score.scorer for score in scores))


def compare_scores(
    scores: list[Score], prompts: Iterable[Prompt], base: str, arm: str
) -> list[ScorerResult]:
    """Each scorer's result, on the (prompt, seed) that it scored for both arms."""
    categories = {prompt.id: prompt.category for prompt in prompts}
    found = []
    for scorer in scorers(scores):
        values = (_values(scores, scorer, name) for name in (base, arm))
        result = compare_values(scorer, *values, categories)
        if result:
            found.append(result)
    adjusted = holm({result.scorer: result.overall.difference.p for result in found})
    return [
        replace(result, overall=replace(result.overall, adjusted=adjusted[result.scorer]))
        for result in found
    ]


def compare_values(
    scorer: str, before: Values, after: Values, categories: Mapping[str, str]
) -> ScorerResult | None:
    """The result on the (prompt, seed) that both have; None for none. categories: by prompt."""
    shared = [key for key in before if key in after]
    if not shared:
        return None
    one, other = ({key: values[key] for key in shared} for values in (before, after))
    return _result(scorer, one, other, categories)


def _values(scores: list[Score], scorer: str, arm: str) -> dict[tuple[str, int], float]:
    return {(s.prompt, s.seed): s.value for s in scores if s.scorer == scorer and s.arm == arm}


def _result(
    scorer: str, before: Values, after: Values, categories: Mapping[str, str]
) -> ScorerResult:
    share = {*before.values(), *after.values()} <= {0.0, 1.0}
    rows = {}
    for category in dict.fromkeys(categories.values()):
        inside = [key for key in before if category and categories[key[0]] == category]
        if inside:
            parts = ({key: values[key] for key in inside} for values in (before, after))
            rows[category] = _row(*parts, share)
    adjusted = holm({category: row.difference.p for category, row in rows.items()})
    rows = {category: replace(row, adjusted=adjusted[category]) for category, row in rows.items()}
    by_pair = {key: after[key] - before[key] for key in before}
    return ScorerResult(scorer, share, _row(before, after, share), rows, by_pair)


def _row(before: Values, after: Values, share: bool) -> Row:
    found = difference(list(differences(before, after).values()))
    if share:
        # Right or wrong: McNemar's exact test, over prompts.
        found = replace(found, p=sign_test(found.rose, found.fell))
    base, arm = (float(np.mean(list(by_prompt(values).values()))) for values in (before, after))
    return Row(base, arm, found, found.p)
