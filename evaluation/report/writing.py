"""Writes a report beside its trial's pictures."""

from __future__ import annotations

from pathlib import Path

from ..trial import Trial
from ..trial.files import write_all
from .analysis import Analysis
from .analysis.pilot import PilotAnswer
from .chart import chart
from .page.document import page
from .tables import as_csv, as_json

NAME = "report"


def write_report(
    analysis: Analysis,
    trial: Trial,
    folder: Path,
    language: str = "en",
    pilot: PilotAnswer | None = None,
) -> Path:
    """Writes report.html, .json, .csv and .png into `folder`; gives the HTML's path.

    All four are there before any takes its name, so that a full disk leaves the old report whole.
    pilot: what the trial's pilot ends in, where it is one.

    Raises EvaluationError for a language that no table has, OSError where they cannot be written.
    """
    made = {
        "json": as_json(analysis, trial.digest, pilot),
        "csv": as_csv(analysis),
        "png": chart(analysis, pilot),
        "html": page(analysis, trial, language, pilot).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_all({folder / f"{NAME}.{suffix}": data for suffix, data in made.items()})
    return folder / f"{NAME}.html"
