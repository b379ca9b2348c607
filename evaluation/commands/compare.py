"""Set versions side by side: every arm of several trials against its own trial's first arm, and
against the first trial's arms, picture by picture, where prompts, seeds and sampling are equal.
"""

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
from ..report.analysis import Analysis, Comparison
from ..report.analysis.across import Across, Side, compare_across, unpaired
from ..report.tables import cell
from ..report.texts import Texts
from ..report.wording import UNKNOWN, Scale, p_value, percent
from ..trial import Manifest
from ..trial.files import write_whole
from . import places

HELP = "set versions side by side, over several trials"
COLUMNS = ("trial", "arm", "adapter", "against", "measure", "prompts", "difference", "low", "high",
           "p")  # fmt: skip


VOTES_STAY = (
    "Votes are on pictures of one trial and cannot be paired: to vote between versions, paint them "
    "as arms of one trial."
)


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
    votes = [read_votes(trial) for trial in trials]
    analyses = [analyse(trial, given) for trial, given in zip(trials, votes, strict=True)]
    lines = [line for analysis in analyses for line in _lines(analysis)]
    first, *later = (Side(analysis.manifest, analysis.scores) for analysis in analyses)
    told = notes([trial.manifest for trial in trials])
    for side in later:
        lines += [_across(first, side, each) for each in compare_across(first, side)]
        told += unpaired(first, side)
    if any(votes):
        told.append(VOTES_STAY)
    print(_aligned([COLUMNS, *lines]))
    for note in dict.fromkeys(told):
        print(note, file=sys.stderr)
    if arguments.csv:
        file = io.StringIO()
        csv.writer(file).writerows([COLUMNS, *([_cell(c) for c in line] for line in lines)])
        write_whole(Path(arguments.csv), b"\xef\xbb\xbf" + file.getvalue().encode())
    return 0


def _lines(analysis: Analysis) -> Iterator[Sequence[str]]:
    for comparison in analysis.comparisons:
        yield from _measures(analysis.manifest, comparison)


def _measures(manifest: Manifest, comparison: Comparison) -> Iterator[Sequence[str]]:
    texts = Texts("en")
    arm = comparison.arm
    start = [manifest.name, arm, _adapters(manifest, arm), comparison.base]
    for result in comparison.scorers:
        d, scale = result.overall.difference, Scale(result, texts)
        values = [scale.difference(value) for value in (d.mean, d.low, d.high)]
        adjusted = p_value(result.overall.adjusted)
        yield [*start, result.scorer, str(d.prompts), *values, adjusted]
    if comparison.votes:
        decision = comparison.votes.decision
        shares = [decision.share, *decision.anytime.interval]
        p = "-" if decision.p is None else p_value(decision.p)
        yield [*start, "votes won", str(decision.prompts), *map(percent, shares), p]


def _across(first: Side, side: Side, found: Across) -> Sequence[str]:
    d, scale = found.row.difference, Scale(found.result, Texts("en"))
    return [
        side.manifest.name,
        found.later,
        _adapters(side.manifest, found.later),
        f"{first.manifest.name}: {found.earlier}",
        found.result.scorer,
        str(d.prompts),
        *(scale.difference(value) for value in (d.mean, d.low, d.high)),
        p_value(found.row.adjusted),
    ]


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
    return [
        f"These trials differ in {', '.join(apart)}: lines against their own first arms are not "
        "strictly comparable."
    ]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[at]) for line in lines) for at in range(len(COLUMNS))]
    rows = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(row.rstrip() for row in rows)


def _cell(value: str) -> str:
    """As spreadsheets take it: no name that they would run as a formula."""
    number = value[:1] in "+-" and value[1:2].isdigit()
    return value if number or value == UNKNOWN else cell(value)
