"""Writes a report beside its trial's pictures."""

from __future__ import annotations

from pathlib import Path

from ..trial import Trial
from ..trial.files import write_whole
from .analysis import Analysis
from .chart import chart
from .page import page
from .tables import as_csv, as_json

NAME = "report"


def write_report(analysis: Analysis, trial: Trial, folder: Path, language: str = "en") -> Path:
    """Writes report.html, .json, .csv and .png into `folder`, each whole; gives the HTML's path.

    Raises EvaluationError for a language that no table has, OSError where they cannot be written.
    """
    made = {
        "html": page(analysis, trial, language).encode(),
        "json": as_json(analysis),
        "csv": as_csv(analysis),
        "png": chart(analysis),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, data in made.items():
        write_whole(folder / f"{NAME}.{suffix}", data)
    return folder / f"{NAME}.html"
