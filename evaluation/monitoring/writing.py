"""Writes the page, and the same for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..report.tables import cell
from ..trial import Model
from ..trial.files import write_all
from .page import page
from .series import Series
from .wording import added, texts_of

NAME = "monitor"
_HEAD = ("time", "scorer", "weights", "model", "model_sha256", "added", "text", "pictures",
         "value", "shift")  # fmt: skip


def write_monitor(found: Sequence[Series], unsound: int, folder: Path, language: str) -> Path:
    """Writes monitor.html, .json and .csv into `folder`; gives the HTML's path.

    Raises EvaluationError for a language that no table has, OSError where they cannot be written.
    """
    made = {
        "json": as_json(found, unsound),
        "csv": as_csv(found),
        "html": page(found, unsound, language).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_all({folder / f"{NAME}.{suffix}": data for suffix, data in made.items()})
    return folder / f"{NAME}.html"


def as_json(found: Sequence[Series], unsound: int) -> bytes:
    """Every series with versions and shifts, as a program reads it."""
    told = {
        "format": 1,
        "unsound_rows": unsound,
        "series": [
            {
                "scorer": one.scorer,
                "weights": one.weights,
                "model": _file(one.base),
                "points": len(one.points),
                "versions": [
                    {
                        "added": [_file(model) for model in stretch.version.added],
                        "points": stretch.points,
                        "pictures": stretch.pictures,
                        "mean": stretch.mean,
                        "low": None if math.isnan(stretch.low) else stretch.low,
                        "high": None if math.isnan(stretch.high) else stretch.high,
                        "first": _moment(stretch.first),
                        "last": _moment(stretch.last),
                    }
                    for stretch in one.versions
                ],
                "shifts": [
                    {
                        **asdict(mark.shift),
                        "time": _moment(mark.time),
                        "version_before": mark.before,
                        "version_after": mark.after,
                    }
                    for mark in one.marks
                ],
            }
            for one in found
        ],
    }
    return (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode()


def as_csv(found: Sequence[Series]) -> bytes:
    """A line a point; `shift` counts the shifts up to there."""
    file = io.StringIO()
    lines = csv.writer(file)
    lines.writerow(_HEAD)
    texts = texts_of("en")
    for one in found:
        for at, point in enumerate(one.points):
            shifted = sum(mark.shift.at <= at for mark in one.marks)
            version = added(one.versions[point.version].version, texts)
            row = (_moment(point.time), one.scorer, one.weights, one.base.name, one.base.sha256,
                   version, point.text, point.pictures, point.value, shifted)  # fmt: skip
            lines.writerow([cell(value) for value in row])
    return b"\xef\xbb\xbf" + file.getvalue().encode()


def _file(model: Model) -> dict[str, Any]:
    told = {"kind": model.kind, "name": model.name, "sha256": model.sha256}
    return told if model.strength is None else {**told, "strength": model.strength}


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="seconds")
