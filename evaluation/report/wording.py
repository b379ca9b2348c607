"""Numbers and findings in words, for page and picture alike."""

from __future__ import annotations

import math

from ..statistics.decision import Decision
from .analysis import VOTES, Comparison, Warned
from .analysis.scores import Row, ScorerResult
from .texts import Texts

UNKNOWN = "-"


def percent(value: float) -> str:
    """A share in 0..1 as a percentage."""
    return UNKNOWN if math.isnan(value) else f"{value:.1%}"


def p_value(value: float) -> str:
    """A p-value to two figures, never as zero."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _digits(half_width: float) -> int:
    """Places behind the point at which two figures of an interval's half are seen."""
    return min(6, max(0, 1 - math.floor(math.log10(half_width))))


def _signed(value: float, digits: int) -> str:
    """With its sign; what rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


class Scale:
    """How a scorer's values are written: shares in percent, others to the digits that tell."""

    def __init__(self, result: ScorerResult, texts: Texts) -> None:
        self._share, self._texts = result.share, texts
        # All prompts have the narrowest interval: categories are written as finely.
        rows = [result.overall, *result.categories.values()]
        widths = (r.difference.high - r.difference.low for r in rows)
        known = next((width for width in widths if math.isfinite(width) and width > 0), None)
        self._digits = 3 if known is None else _digits(known / 2)

    def value(self, value: float) -> str:
        """A mean."""
        return percent(value) if self._share else f"{value:.{self._digits}f}"

    def difference(self, value: float, unit: bool = True) -> str:
        """A difference with its sign; of shares in percentage points."""
        if not math.isfinite(value):
            return UNKNOWN
        if not self._share:
            return _signed(value, self._digits)
        points = _signed(100 * value, 1)
        return self._texts.say("points", value=points) if unit else points

    def interval(self, row: Row) -> str:
        """Both ends of a row's interval."""
        low, high = (self.difference(v, False) for v in (row.difference.low, row.difference.high))
        return UNKNOWN if UNKNOWN in (low, high) else f"{low} … {high}"


def answer(comparison: Comparison, texts: Texts) -> str:
    """The answer in a sentence, with its uncertainty."""
    names = {"arm": comparison.arm, "base": comparison.base}
    if not comparison.primary:
        return texts.say("none", **names)
    if comparison.primary == VOTES:
        if comparison.votes is None:
            return texts.say("votes_none", **names)
        decision = comparison.votes.decision
        if not decision.decisive:
            return texts.say("votes_tied", **names)
        low, high = decision.anytime.interval
        by_plan = "_planned" if by_plan_alone(decision) else ""
        return texts.say(
            f"votes_{decision.called}{by_plan}", **names, won=decision.won,
            decisive=decision.decisive, share=percent(decision.share), low=percent(low),
            high=percent(high), planned=decision.planned, p=p_value(decision.p or 0.0),
        )  # fmt: skip
    result = comparison.scorer(comparison.primary)
    names["measure"] = comparison.primary
    if result is None:
        return texts.say("score_none", **names)
    scale, found = Scale(result, texts), result.overall.difference
    return texts.say(
        f"score_{comparison.called}", **names, difference=scale.difference(found.mean),
        low=scale.difference(found.low, False), high=scale.difference(found.high, False),
        prompts=found.prompts,
    )  # fmt: skip


def by_plan_alone(decision: Decision) -> bool:
    """Whether the test at the planned number called it, and the anytime interval never did."""
    return decision.called in ("gain", "loss") and not decision.anytime.direction


def warning(warned: Warned, texts: Texts) -> str:
    """A warning in a sentence."""
    values = dict(warned.values)
    if "category" in values:
        values["category"] = texts.category(str(values["category"]))
    if "measure" in values:
        values["measure"] = texts.measure(str(values["measure"]))
    return texts.say(warned.kind, **values)
