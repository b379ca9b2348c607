"""Rows of one base by what they are of, and answers paired over prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....evaluation.statistics.rates import wilson
from ...sweep.page import numbers
from ..methods import METHODS

Answers = NDArray[np.float64]


def groups_of(
    rows: Sequence[Mapping[str, Any]], part: str = "judged"
) -> dict[str, list[Mapping[str, Any]]]:
    """The judged rows of each method, a training seed each, in the order of `METHODS`; where there
    is one of more prompts, that one. part: "judged", or a kind of longer prompts."""
    longest: dict[tuple[str, int | None], Mapping[str, Any]] = {}
    for row in rows:
        if row["part"] == part:
            key = row["method"], row["seed"]
            longest[key] = max(longest.get(key, row), row, key=prompts_of)
    groups = {
        one.name: [row for (name, _), row in longest.items() if name == one.name] for one in METHODS
    }
    return {name: group for name, group in groups.items() if group}


def prompts_of(row: Mapping[str, Any]) -> int:
    return len(row["verdicts"]["all"])


def of_seeds(
    group: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The rows whose training seed is one of the others'."""
    seeds = {row["seed"] for row in others}
    return [row for row in group if row["seed"] in seeds]


def answers_of(group: Sequence[Mapping[str, Any]], attribute: str) -> Answers:
    """Each prompt's share of right pictures over the training seeds."""
    count = min(map(prompts_of, group))
    return np.mean([numbers(row["verdicts"][attribute])[:count] for row in group], axis=0)


def share(trainings: Sequence[str]) -> str:
    """Of ones in each training's answers: with Wilson's interval, or where there are several their
    mean and each."""
    first, *more = trainings
    if not more:
        return str(wilson(first.count("1"), len(first)))
    shares = [one.count("1") / len(one) for one in trainings]
    return f"{np.mean(shares):.1%} ({', '.join(f'{one:.1%}' for one in shares)})"
