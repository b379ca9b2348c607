"""What there is to know of a plan before it is painted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ..errors import EvaluationError
from ..report.texts import Texts
from ..report.wording import percent
from ..statistics.planning import chance_of_go, critical, prompts_needed
from .checklist import unticked
from .draft import TIES
from .plan import Plan, fingerprint, planned_prompts
from .wording import FOLDER

ENOUGH = 0.78
"""A chance to be told as enough: 80 %, less what a simulation may be off."""


def check(plan: Plan, folder: Path, language: str) -> list[str]:
    """What a plan lets expect, and what is still open, in sentences. folder: the plan's own."""
    texts = Texts(language, FOLDER)
    told = [*_prompts(plan, folder, texts)]
    told += _votes(plan, texts) if plan.by_votes else _scores(plan, texts)
    open_items = unticked(folder)
    if open_items is None:
        return [*told, texts.say("no_checklist")]
    return [*told, *(f"{texts.say('open_items')}: {item}" for item in open_items)]


def _prompts(plan: Plan, folder: Path, texts: Texts) -> Iterator[str]:
    try:
        digest = fingerprint(planned_prompts(plan, folder))
    except EvaluationError as error:
        yield str(error)
        return
    same = plan.prompts_sha256 in (None, digest)
    key = "check_prompts" if same else "check_other_prompts"
    yield texts.say(key, file=plan.prompts, digest=digest)


def _votes(plan: Plan, texts: Texts) -> Iterator[str]:
    if plan.expected is not None:
        size = plan.count, plan.planned, plan.go, plan.no_go
        found, wrong = chance_of_go(plan.expected, *size), chance_of_go(0.5, *size)
        yield texts.say(
            "check_power_votes", share=percent(plan.expected), power=f"{found:.0%}",
            wrong=f"{wrong:.0%}",
        )  # fmt: skip
        if found < ENOUGH:
            yield texts.say("check_power_low")
    shown = int(critical(plan.planned)) / plan.planned
    if plan.go > shown:
        yield texts.say("check_go_high", critical=percent(shown), go=percent(plan.go))
    if plan.count < plan.planned:
        yield texts.say("check_few_prompts", count=plan.count, planned=plan.planned)
    votes, people = math.ceil(plan.planned / TIES), max(1, len(plan.voters))
    pictures = plan.count * len(plan.seeds) * len(plan.arms)
    each = math.ceil(votes / people)
    yield texts.say("check_work", votes=votes, each=each, people=people, pictures=pictures)
    if not plan.voters:
        yield texts.say("check_no_voters")


def _scores(plan: Plan, texts: Texts) -> Iterator[str]:
    if plan.expected:
        needed = prompts_needed(plan.expected)
        values = {"expected": f"{plan.expected:g}", "needed": needed, "planned": plan.planned}
        yield texts.say("check_effect", **values)
    yield texts.say("check_pictures", pictures=plan.count * len(plan.seeds) * len(plan.arms))
