"""Write the report of a trial: report.html, .json, .csv and .png.

Votes are read from the trial's votes.sqlite where it is there. A pilot's answer stands first. With
--monitor, draw the scores of daily work over time: monitor.html, .json and .csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import monitoring
from ..errors import EvaluationError
from ..monitoring.store import NAME as MONITOR
from ..pilot.report import report
from ..report.texts import Texts, languages
from ..report.wording import answer
from . import places

HELP = "write a trial's report: report.html, .json, .csv and .png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument(
        "trial", nargs="?", help="a trial's folder, or its name in ComfyUI's output"
    )
    parser.add_argument(
        "--monitor",
        nargs="?",
        const="",
        metavar="DB",
        help=f"in place of a trial: SoftREPA Monitor's file (default: {MONITOR} in ComfyUI's "
        "output/softrepa)",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", help="where to write (default: the trial; beside the file)"
    )
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
    if (arguments.trial is None) == (arguments.monitor is None):
        raise EvaluationError("Name a trial, or --monitor for the scores of daily work.")
    if arguments.monitor is not None:
        return _monitor(arguments)
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


def _monitor(arguments: argparse.Namespace) -> int:
    """Writes the page of daily work; prints what shifted."""
    # Imported here: a trial's report needs none of it.
    from ..monitoring.page import summary
    from ..monitoring.series import series
    from ..monitoring.wording import shift_sentences, texts_of
    from ..monitoring.writing import write_monitor

    path = Path(arguments.monitor or places.output(arguments.comfyui) / MONITOR)
    entries, unsound = monitoring.read(path)
    found, texts = series(entries), texts_of(arguments.language)
    folder = Path(arguments.output) if arguments.output else path.parent
    written = write_monitor(found, unsound, folder, arguments.language)
    print(summary(found, texts))
    for one in found:
        for mark in one.marks:
            print(shift_sentences(one, mark, texts))
    print(written)
    return 0
