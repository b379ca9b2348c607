"""`monitor.sqlite`: a row a picture and scorer, only ever added to, by any number of processes."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import sqlite as file
from ..errors import EvaluationError
from ..trial import Model

NAME = "monitor.sqlite"
PATIENCE = 5.0
"""Seconds to wait for other writers: somebody waits for the picture."""
LONGEST = 2000
"""Characters kept of a text."""
_BASES = ("checkpoint", "model")
_COLUMNS = (
    "time", "picture", "text", "scorer", "weights", "value", "model", "model_sha256", "adapter",
    "adapter_sha256", "strength", "others",
)  # fmt: skip
_SCHEMA = (
    """CREATE TABLE scores (row INTEGER PRIMARY KEY, time REAL NOT NULL, picture TEXT NOT NULL,
        text TEXT NOT NULL, scorer TEXT NOT NULL, weights TEXT NOT NULL, value REAL NOT NULL,
        model TEXT NOT NULL, model_sha256 TEXT NOT NULL, adapter TEXT NOT NULL,
        adapter_sha256 TEXT NOT NULL, strength REAL, others TEXT NOT NULL)""",
    *file.only_added("scores"),
)
_WHY = {
    file.FULL: "The disk is full: make room, and pictures are monitored again.",
    file.BUSY: f"{NAME} is in use by another program: this picture is not in it.",
    file.UNUSABLE: f"{NAME} cannot be used: look at the rights of its folder.",
    file.DAMAGED: f"{NAME} is damaged: move it away, and a new one is begun.",
    file.FOREIGN: f"{NAME} was not made by this version: move it away, and a new one is begun.",
    file.LINK: f"{NAME} is a link: put the file itself there, or move the link away.",
}


class MonitorError(EvaluationError):
    """Nothing can be added to, or read from, the file."""


@dataclass(frozen=True)
class Entry:
    """One score of one picture.

    time: seconds since 1970. picture: SHA-256 of its width and height in decimal, then its 8-bit
    RGB pixels. models: the files it was painted with, and what is said of those that are not
    known (with an empty hash).
    """

    time: float
    picture: str
    text: str
    scorer: str
    weights: str
    value: float
    models: tuple[Model, ...]

    @property
    def base(self) -> Model:
        """The checkpoint or diffusion model."""
        bases = (model for model in self.models if model.kind in _BASES)
        return next(bases, Model("model", "", ""))

    @property
    def added(self) -> tuple[Model, ...]:
        """What stands beside it: adapters first, then LoRAs and others."""
        rest = [m for m in self.models if m != self.base]
        return tuple(sorted(rest, key=lambda m: (m.kind != "adapter", m.kind, m.name)))


def add(path: Path, entries: Iterable[Entry]) -> None:
    """Adds rows, all of them or none. Raises MonitorError, in one sentence."""
    rows = [_row(entry) for entry in entries]
    marks = ", ".join("?" * len(_COLUMNS))
    insert = f"INSERT INTO scores ({', '.join(_COLUMNS)}) VALUES ({marks})"

    def work(connection: sqlite3.Connection) -> None:
        connection.executemany(insert, rows)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MonitorError(f"{path.parent} cannot be made ({error.strerror}).") from error
    _TABLES.change(path, work, PATIENCE)


def read(path: Path) -> tuple[list[Entry], int]:
    """What is there in the order of time, and how many rows make no sense and are left out.

    Raises MonitorError where there is no such file, or it is not ours.
    """
    if not path.is_file():
        raise MonitorError(
            f"There is no {path}: put SoftREPA Monitor into a workflow, or name another file."
        )
    select = f"SELECT {', '.join(_COLUMNS)} FROM scores ORDER BY time, row"
    rows = _TABLES.read(path, lambda one: one.execute(select).fetchall(), PATIENCE) or []
    entries = [entry for row in rows if (entry := _entry(row)) is not None]
    return entries, len(rows) - len(entries)


def _row(entry: Entry) -> Sequence[Any]:
    adapters = [model for model in entry.added if model.kind == "adapter"]
    first = adapters[0] if adapters else Model("adapter", "", "")
    others = [
        [model.kind, model.name, model.sha256, model.strength]
        for model in entry.added
        if model is not first
    ]
    return (
        float(entry.time), entry.picture, _kept(entry.text), entry.scorer, entry.weights,
        float(entry.value), entry.base.name, entry.base.sha256, first.name, first.sha256,
        first.strength, json.dumps(others),
    )  # fmt: skip


def _kept(text: str) -> str:
    """So much of a text as is kept, without what is no character."""
    return text[:LONGEST].encode("utf-8", "replace").decode("utf-8")


def _entry(row: Sequence[Any]) -> Entry | None:
    """A row as it must be; None for any other, for the file may come from anywhere."""
    time, picture, text, scorer, weights, value, model, model_sha256, *rest = row
    adapter, adapter_sha256, strength, others = rest
    words = (picture, text, scorer, weights, model, model_sha256, adapter, adapter_sha256)
    if not all(isinstance(word, str) and len(word) <= LONGEST for word in words):
        return None
    if not (_number(time) and 0 <= time < 1e11 and _number(value) and scorer):
        return None
    if not (strength is None or _number(strength)):
        return None
    more = _others(others)
    if more is None:
        return None
    models = [Model("model", model, model_sha256)]
    if adapter:
        models.append(Model("adapter", adapter, adapter_sha256, strength))
    return Entry(time, picture, text, scorer, weights, value, (*models, *more))


def _others(text: Any) -> list[Model] | None:
    if not isinstance(text, str) or len(text) > 50 * LONGEST:
        return None
    try:
        found = json.loads(text)
        return [Model(*_plain(*each)) for each in found]
    except (ValueError, TypeError, RecursionError):
        return None


def _plain(kind: Any, name: Any, sha256: Any, strength: Any) -> tuple[str, str, str, float | None]:
    if not all(isinstance(word, str) and len(word) <= LONGEST for word in (kind, name, sha256)):
        raise ValueError("a file is named by words")
    if not (strength is None or _number(strength)):
        raise ValueError("a strength is a number")
    return kind, name, sha256, strength


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _explained(reason: str) -> MonitorError:
    return MonitorError(_WHY[reason])


_TABLES = file.Tables(_SCHEMA, _explained)
