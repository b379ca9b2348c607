"""A pilot's answer: go, no-go or not yet, by thresholds and a sample size fixed before."""

from __future__ import annotations

from dataclasses import dataclass

from .decision import ALPHA, Decision
from .means import Difference

GO, NO_GO, NOT_YET = "go", "no-go", "not yet"
FEW = "few"
"""The reason that tells nothing of who is ahead."""


@dataclass(frozen=True)
class Verdict:
    """`called`: GO, NO_GO or NOT_YET. `reason`: one word on why.

    gain: shown, and as large as asked for. loss: the candidate is worse. beyond: as large as asked
    for is out of reach (votes only). nothing: all is there that was planned, and no gain is shown.
    small: a gain is shown, and it is no-go's. between: it lies between no-go and go. few: not all
    is there that was planned.
    """

    called: str
    reason: str


def by_votes(decision: Decision, go: float, no_go: float) -> Verdict:
    """From votes up to the planned number, later ones left out; go, no_go: shares won.

    A go needs a gain as `decide` calls it, so that where there is none, at most one pilot in
    twenty is a go, however often anyone looks. Before the planned number is there, the interval
    that is valid at any time can end a pilot. ValueError where no number was planned.
    """
    if decision.planned is None:
        raise ValueError("a pilot's number of votes is planned before")
    if decision.called == "loss":
        return Verdict(NO_GO, "loss")
    if decision.called == "gain" and decision.share >= go:
        return Verdict(GO, "gain")
    if decision.anytime.interval[1] < go:
        return Verdict(NO_GO, "beyond")
    if decision.decisive < decision.planned:
        return Verdict(NOT_YET, FEW)
    return _complete(decision.called == "gain", decision.share, no_go)


def by_scores(
    found: Difference, complete: bool, go: float, no_go: float, alpha: float = ALPHA
) -> Verdict:
    """From the mean difference over prompts; go, no_go in the score's unit.

    A gain needs the test of random signs and an interval above zero: the one takes differences for
    symmetric, which a score that now and then collapses makes them not be. `complete`: whether
    every planned picture has its score. Nothing is decided before, so there is one look, and no
    correction for others.
    """
    if not complete:
        return Verdict(NOT_YET, FEW)
    if found.p < alpha and found.high < 0:
        return Verdict(NO_GO, "loss")
    gain = found.p < alpha and found.low > 0
    return Verdict(GO, "gain") if gain and found.mean >= go else _complete(gain, found.mean, no_go)


def _complete(gain: bool, value: float, no_go: float) -> Verdict:
    """Where all is there that was planned, and it is no go."""
    if not gain:
        return Verdict(NO_GO, "nothing")
    return Verdict(NO_GO, "small") if value <= no_go else Verdict(NOT_YET, "between")
