"""Set versions side by side: every arm of several trials against its own trial's first arm."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import EvaluationError
from ..pilot.report import read_votes
from ..report import analyse
from ..report.analysis import Comparison
from ..report.texts import Texts
from ..report.wording import Scale, percent
from ..trial import Manifest, Trial
from ..trial.files import write_whole
from . import places

HELP = "set versions side by side, over several trials"
COLUMNS = ("trial", "arm", "adapter", "measure", "prompts", "difference", "low", "high")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("trials", nargs="+", metavar="TRIAL", help="folders, or names")
    parser.add_argument("--csv", metavar="FILE", help="also write the table here")
    places.add_comfyui(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the table, and what keeps its lines from being comparable. Returns 0."""
    if len(arguments.trials) < 2:
        raise EvaluationError("Name two trials or more: report is the command for one.")
    trials = [places.named_trial(name, arguments.comfyui) for name in arguments.trials]
    lines = [line for trial in trials for line in _lines(trial)]
    print(_aligned([COLUMNS, *lines]))
    for note in notes([trial.manifest for trial in trials]):
        print(note, file=sys.stderr)
    if arguments.csv:
        file = io.StringIO()
        csv.writer(file).writerows([COLUMNS, *([_cell(c) for c in line] for line in lines)])
        write_whole(Path(arguments.csv), b"\xef\xbb\xbf" + file.getvalue().encode())
    return 0


def _lines(trial: Trial) -> Iterator[Sequence[str]]:
    for comparison in analyse(trial, read_votes(trial)).comparisons:
        yield from _measures(trial.manifest, comparison)


def _measures(manifest: Manifest, comparison: Comparison) -> Iterator[Sequence[str]]:
    texts = Texts("en")
    start = [manifest.name, comparison.arm, _adapters(manifest, comparison.arm)]
    for result in comparison.scorers:
        d, scale = result.overall.difference, Scale(result, texts)
        values = [scale.difference(value) for value in (d.mean, d.low, d.high)]
        yield [*start, result.scorer, str(d.prompts), *values]
    if comparison.votes:
        decision = comparison.votes.decision
        shares = [decision.share, *decision.anytime.interval]
        yield [*start, "votes won", str(decision.prompts), *map(percent, shares)]


def _adapters(manifest: Manifest, name: str) -> str:
    """What the arm has beside a checkpoint, each with the start of its hash."""
    arm = next(arm for arm in manifest.arms if arm.name == name)
    found = [f"{m.name}@{m.sha256[:10]}" for m in arm.models if m.kind != "checkpoint"]
    return " + ".join(found) or "-"


def notes(manifests: Sequence[Manifest]) -> list[str]:
    """What differs between the trials, so that their lines cannot be set against each other."""
    told = {
        "prompts": [[(p.id, p.text) for p in m.prompts] for m in manifests],
        "seeds": [m.seeds for m in manifests],
        "sampling": [m.sampling for m in manifests],
        "first arms": [m.arms[0].models for m in manifests],
        "host versions": [m.host for m in manifests],
    }
    apart = [what for what, values in told.items() if any(v != values[0] for v in values)]
    if not apart:
        return []
    return [f"These trials differ in {', '.join(apart)}: their lines are not strictly comparable."]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[at]) for line in lines) for at in range(len(COLUMNS))]
    rows = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(row.rstrip() for row in rows)


def _cell(value: str) -> str:
    """As spreadsheets take it: no name that they would run as a formula."""
    number = value[:1] in "+-" and value[1:2].isdigit()
    return f"'{value}" if value[:1] in tuple("=+-@") and not number and value != "-" else value
