"""A pilot's answer in words, for the command, the report and the graph alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..report.analysis.pilot import PilotAnswer
from ..report.texts import Texts, languages
from ..report.wording import UNKNOWN, Scale, by_plan_alone, p_value, percent
from ..statistics.verdict import FEW, NOT_YET
from ..trial import Trial
from ..votes.vote import Vote
from .begin import plan_of
from .decision import Decided, decided
from .plan import Plan

FOLDER = Path(__file__).parent / "languages"


def pilot_answer(
    trial: Trial, votes: Iterable[Vote], language: str | None = None
) -> PilotAnswer | None:
    """What a trial's pilot ends in, in the plan's language if no other is named; None where the
    trial is no pilot. Raises TrialError where its plan is gone, unsound or not this trial's."""
    plan = plan_of(trial)
    if plan is None:
        return None
    return in_words(decided(trial, plan, votes), language_of(plan, language))


def unpainted(plan: Plan, language: str | None = None) -> PilotAnswer:
    """What a pilot ends in that has no trial yet."""
    texts, english = Texts(language_of(plan, language), FOLDER), Texts("en", FOLDER)
    values = {"called": NOT_YET, "reason": "unpainted", "answer": english.say("unpainted"),
              "plan_sha256": plan.digest}  # fmt: skip
    said = texts.say("said", called=texts.say(NOT_YET), sentence=texts.say("unpainted"))
    return PilotAnswer(
        texts.say("pilot_heading", question=plan.question), NOT_YET, said, (), values
    )


def language_of(plan: Plan, wanted: str | None) -> str:
    """The language that is wanted, else the plan's where we have it, else English."""
    return wanted or (plan.language if plan.language in languages() else "en")


def in_words(found: Decided, language: str) -> PilotAnswer:
    """The answer for people, and as plain values for programs."""
    texts, plan = Texts(language, FOLDER), found.plan
    parts = [_deviations(found, texts), _open_items(found, texts), _afterwards(found, texts)]
    called = found.verdict.called
    return PilotAnswer(
        heading=texts.say("pilot_heading", question=plan.question),
        called=called,
        answer=texts.say("said", called=texts.say(called), sentence=_sentence(found, texts)),
        parts=tuple((heading, tuple(lines)) for heading, lines in parts if lines),
        values=_values(found),
    )


def _sentence(found: Decided, texts: Texts) -> str:
    plan, reason = found.plan, found.verdict.reason
    names = {"candidate": plan.candidate, "base": plan.base, "planned": plan.planned}
    if plan.by_votes:
        if found.votes is None:
            return texts.say("votes_few", **names, decisive=0)
        decision = found.votes.decision
        low, high = decision.anytime.interval
        if reason in ("gain", "loss") and by_plan_alone(decision):
            reason = f"{reason}_planned"
        return texts.say(
            f"votes_{reason}", **names, won=decision.won, decisive=decision.decisive,
            p=p_value(decision.p or 0.0),
            share=percent(decision.share), low=percent(low), high=percent(high),
            go=percent(plan.go), no_go=percent(plan.no_go),
        )  # fmt: skip
    names |= {"measure": plan.measure, "pairs": found.pairs, "all_pairs": found.all_pairs}
    if found.scores is None:
        return texts.say("scores_few", **names, prompts=0)
    d, scale = found.scores.overall.difference, Scale(found.scores, texts)
    return texts.say(
        f"scores_{reason}", **names, prompts=d.prompts, difference=scale.difference(d.mean),
        low=scale.difference(d.low, False), high=scale.difference(d.high, False),
        go=scale.difference(plan.go), no_go=scale.difference(plan.no_go),
    )  # fmt: skip


def _deviations(found: Decided, texts: Texts) -> tuple[str, Sequence[str]]:
    told = [texts.say(f"deviation_{each.kind}", **each.values) for each in found.deviations]
    return texts.say("deviations"), told or [texts.say("kept_to_plan")]


def _open_items(found: Decided, texts: Texts) -> tuple[str, Sequence[str]]:
    if found.unticked is None:
        return texts.say("open_items"), [texts.say("no_checklist")]
    return texts.say("open_items"), found.unticked


def _afterwards(found: Decided, texts: Texts) -> tuple[str, Sequence[str]]:
    long, told = found.plan.long_term, []
    if long.kpi:
        values = {"target": long.target or UNKNOWN, "when": long.when or UNKNOWN}
        told.append(texts.say("long_term", kpi=long.kpi, **values))
    if found.plan.decides:
        told.append(texts.say("decides", name=found.plan.decides))
    return texts.say("next"), told


def _values(found: Decided) -> dict[str, Any]:
    plan = found.plan
    english = Texts("en", FOLDER)
    value: float | None = None
    if found.verdict.reason == FEW:
        pass  # Whoever asks how far the voting is has not seen results.
    elif found.votes:
        value = found.votes.decision.share
    elif found.scores:
        value = found.scores.overall.difference.mean
    return {
        "called": found.verdict.called,
        "reason": found.verdict.reason,
        "answer": _sentence(found, english),
        "measure": plan.measure,
        "value": value,
        "go": plan.go,
        "no_go": plan.no_go,
        "planned": plan.planned,
        "counted": found.votes.decision.decisive if found.votes else found.pairs,
        "deviations": [
            {"kind": d.kind, **d.values, "said": english.say(f"deviation_{d.kind}", **d.values)}
            for d in found.deviations
        ],
        "unticked": None if found.unticked is None else list(found.unticked),
        "plan_sha256": plan.digest,
    }
