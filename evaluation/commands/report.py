"""Write the report of a trial: report.html, .json, .csv and .png.

Votes are read from the trial's votes.sqlite where it is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import EvaluationError
from ..report import analyse, write_report
from ..report.texts import Texts, languages
from ..report.wording import answer
from ..trial import Trial
from ..votes import store
from ..votes.errors import VotingError
from ..votes.vote import Vote
from . import places

HELP = "write a trial's report: report.html, .json, .csv and .png"
VOTES = "votes.sqlite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("trial", help="a trial's folder, or its name in ComfyUI's output")
    parser.add_argument("--output", metavar="FOLDER", help="where to write (default: the trial)")
    parser.add_argument("--language", choices=languages(), default="en")
    parser.add_argument(
        "--primary", metavar="MEASURE", help='what answers: a scorer\'s name or "votes"'
    )
    parser.add_argument(
        "--planned", type=_votes, metavar="N", help="decisive votes, as planned before voting"
    )
    places.add_comfyui(parser)


def _votes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of votes")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Writes the report and prints its answers and where it lies. Returns 0."""
    trial = places.named_trial(arguments.trial, arguments.comfyui)
    analysis = analyse(trial, read_votes(trial), arguments.planned, arguments.primary)
    folder = Path(arguments.output) if arguments.output else trial.folder
    written = write_report(analysis, trial, folder, arguments.language)
    texts = Texts(arguments.language)
    for comparison in analysis.comparisons:
        print(answer(comparison, texts))
    print(written)
    return 0


def read_votes(trial: Trial) -> list[Vote]:
    """The trial's votes, in the order given; none where nobody has voted."""
    path = trial.folder / VOTES
    if not path.is_file():
        return []
    try:
        return store.read_votes(path)
    except VotingError as error:
        raise EvaluationError(f"{path}: {error}") from None
