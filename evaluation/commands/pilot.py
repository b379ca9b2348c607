"""A pilot: plan it before painting, see whether the plan is sound, and decide by it."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from ..errors import EvaluationError
from ..pilot import NAME, read_plan
from ..pilot.check import check
from ..pilot.draft import Choices, write_draft
from ..pilot.looks import looked
from ..pilot.plan import VOTES
from ..pilot.report import read_votes
from ..pilot.wording import language_of, pilot_answer, unpainted
from ..report.analysis.pilot import PilotAnswer
from ..report.texts import languages
from ..statistics.verdict import FEW
from ..trial.folder import MANIFEST
from . import places

HELP = "plan a pilot, check the plan, decide by it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    init = steps.add_parser("init", help=f"write {NAME}, prompts and a checklist")
    init.add_argument("folder", help="the trial's folder, or its name in ComfyUI's output")
    init.add_argument("--question", metavar="TEXT", help="what the pilot is to find out")
    init.add_argument("--base", default="bare", metavar="ARM", help="the arm in use today")
    init.add_argument("--candidate", default="SoftREPA", metavar="ARM", help="the arm to decide on")
    init.add_argument("--adapter", metavar="FILE", help="the candidate's adapter, to fix its hash")
    init.add_argument("--prompts", metavar="FILE", help="your own, or suite-en, suite-ja")
    init.add_argument("--count", type=int, metavar="N", help="prompts (default: as many as needed)")
    init.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="SEED")
    init.add_argument(
        "--measure", default=VOTES, help='what decides: "votes" or a scorer\'s name (votes)'
    )
    init.add_argument(
        "--expected", type=float, metavar="X",
        help="the share of votes hoped for (0.65); with a scorer, standard deviations (0.4)",
    )  # fmt: skip
    init.add_argument("--voter", action="append", default=[], metavar="NAME", help="once for each")
    for step, help_ in (("check", "what the plan lets expect, and what is open"),
                        ("decide", "go, no-go or not yet, by the plan")):  # fmt: skip
        flags = steps.add_parser(step, help=help_)
        flags.add_argument("trial", help="the trial's folder, or its name in ComfyUI's output")
        flags.add_argument("--language", choices=languages(), help="(default: the plan's)")
        places.add_comfyui(flags)
        if step == "decide":
            flags.add_argument("--json", action="store_true", help="for programs")
    init.add_argument("--language", choices=languages(), default="en")
    places.add_comfyui(init)


def run(arguments: argparse.Namespace) -> int:
    """Does one step. Returns 0, whatever a pilot ends in."""
    return {"init": _init, "check": _check, "decide": _decide}[arguments.step](arguments)


def _init(arguments: argparse.Namespace) -> int:
    folder = places.new_trial(arguments.folder, arguments.comfyui)
    path = write_draft(
        folder,
        Choices(
            language=arguments.language,
            question=arguments.question,
            base=arguments.base,
            candidate=arguments.candidate,
            adapter=_digest(arguments.adapter),
            prompts=arguments.prompts,
            count=arguments.count,
            seeds=tuple(arguments.seeds),
            measure=arguments.measure,
            expected=arguments.expected,
            voters=tuple(arguments.voter),
        ),
    )
    for line in check(read_plan(path), folder, arguments.language):
        print(line)
    print(path)
    return 0


def _digest(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationError(
            f"{name} cannot be read ({error.strerror}): name the adapter's file."
        ) from None


def _check(arguments: argparse.Namespace) -> int:
    folder = places.new_trial(arguments.trial, arguments.comfyui)
    plan = read_plan(folder / NAME)
    for line in check(plan, folder, language_of(plan, arguments.language)):
        print(line)
    return 0


def _decide(arguments: argparse.Namespace) -> int:
    folder = places.new_trial(arguments.trial, arguments.comfyui)
    if (folder / NAME).is_file() and not (folder / MANIFEST).exists():
        answer = unpainted(read_plan(folder / NAME), arguments.language)
        return _told(answer, arguments.json)
    trial = places.named_trial(arguments.trial, arguments.comfyui)
    votes = read_votes(trial)
    answer = pilot_answer(trial, votes, arguments.language)
    if answer is None:
        raise EvaluationError(
            f"{trial.folder} is no pilot: it holds no {NAME}, which is written before painting by "
            "evaluate.py pilot init."
        )
    if answer.values["reason"] != FEW:
        looked(trial, len(votes), answer.values["measure"])
    return _told(answer, arguments.json)


def _told(answer: PilotAnswer, as_json: bool) -> int:
    if as_json:
        print(json.dumps(answer.values, ensure_ascii=False, indent=1, allow_nan=False))
        return 0
    print(answer.answer)
    for heading, lines in answer.parts:
        print(f"\n{heading}", *(f"- {line}" for line in lines), sep="\n")
    return 0
