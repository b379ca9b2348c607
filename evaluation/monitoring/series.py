"""What was kept, as series over time: one a scorer and model, with its versions and shifts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ..statistics.change import Shift, shifts
from ..trial import Model
from .store import Entry

_NEAR = 20
"""Points on either side of a shift that tell what painted them."""


@dataclass(frozen=True)
class Version:
    """What painted: the base model, and adapters, LoRAs and others with their strengths."""

    base: Model
    added: tuple[Model, ...]


@dataclass(frozen=True)
class Point:
    """Pictures of one text that came one after another, which are not independent of each other:
    their mean. version: its index. picture: the first one's hash."""

    time: float
    value: float
    text: str
    pictures: int
    version: int
    picture: str


@dataclass(frozen=True)
class Stretch:
    """All points of a version: how many, how many pictures, their mean with its 95 % interval (NaN
    for one point), first and last time."""

    version: Version
    points: int
    pictures: int
    mean: float
    low: float
    high: float
    first: float
    last: float


@dataclass(frozen=True)
class Marked:
    """A shift in the values, when it was, and the versions that painted most points just before
    and after it, as indices."""

    shift: Shift
    time: float
    before: int
    after: int


@dataclass(frozen=True)
class Series:
    """The points of one scorer, by its weights, and one base model, in order of time."""

    scorer: str
    weights: str
    base: Model
    points: tuple[Point, ...]
    versions: tuple[Stretch, ...]
    marks: tuple[Marked, ...]


def series(entries: Iterable[Entry]) -> list[Series]:
    """Every series, that with the newest point first. entries: in order of time."""
    sorted_out: dict[tuple[str, str, str, str], list[Entry]] = {}
    for entry in entries:
        key = (entry.scorer, entry.weights, entry.base.name, entry.base.sha256)
        sorted_out.setdefault(key, []).append(entry)
    found = [_series(each) for each in sorted_out.values()]
    return sorted(found, key=lambda one: -one.points[-1].time)


def _series(entries: Sequence[Entry]) -> Series:
    versions: dict[Any, tuple[int, Version]] = {}
    runs: list[tuple[int, list[Entry]]] = []
    for entry in entries:
        key = tuple((m.kind, m.name, m.sha256, m.strength) for m in entry.added)
        told = (len(versions), Version(entry.base, entry.added))
        version, _ = versions.setdefault(key, told)
        if runs and runs[-1][0] == version and runs[-1][1][-1].text == entry.text:
            runs[-1][1].append(entry)
        else:
            runs.append((version, [entry]))
    points = tuple(_point(version, run) for version, run in runs)
    one = entries[0]
    stretches = tuple(
        _stretch(version, [point for point in points if point.version == at])
        for at, version in versions.values()
    )
    return Series(one.scorer, one.weights, one.base, points, stretches, _marks(points))


def _point(version: int, run: Sequence[Entry]) -> Point:
    first, value = run[0], float(np.mean([entry.value for entry in run]))
    return Point(first.time, value, first.text, len(run), version, first.picture)


def _stretch(version: Version, points: Sequence[Point]) -> Stretch:
    values = [point.value for point in points]
    mean, wide = float(np.mean(values)), math.nan
    if len(values) > 1:
        spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
        wide = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    pictures = sum(point.pictures for point in points)
    return Stretch(
        version, len(points), pictures, mean, mean - wide, mean + wide, points[0].time,
        points[-1].time,
    )  # fmt: skip


def _marks(points: Sequence[Point]) -> tuple[Marked, ...]:
    found = shifts([point.value for point in points], seed=points[0].picture)
    marks = []
    for shift in found:
        before = points[max(0, shift.at - _NEAR) : shift.at]
        after = points[shift.at : shift.at + _NEAR]
        marks.append(Marked(shift, points[shift.at].time, _most(before), _most(after)))
    return tuple(marks)


def _most(points: Sequence[Point]) -> int:
    return Counter(point.version for point in points).most_common(1)[0][0]
