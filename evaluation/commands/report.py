"""Write the report of a trial: report.html, .json, .csv and .png.

Votes are read from the trial's votes.sqlite where it is there. A pilot's answer stands first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pilot.report import report
from ..report.texts import Texts, languages
from ..report.wording import answer
from . import places

HELP = "write a trial's report: report.html, .json, .csv and .png"


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
    folder = Path(arguments.output) if arguments.output else trial.folder
    analysis, pilot = report(
        trial, folder, arguments.language, arguments.planned, arguments.primary
    )
    if pilot:
        print(pilot.answer)
    for comparison in analysis.comparisons:
        print(answer(comparison, Texts(arguments.language)))
    print(folder / "report.html")
    return 0
