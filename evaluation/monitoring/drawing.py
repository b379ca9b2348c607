"""A series as an SVG: a dot a point in the order of time, coloured by version, and its shifts."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby, pairwise

import numpy as np

from .series import Point, Series

WIDTH, HEIGHT = 860, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 20, 26
_MOST_DOTS = 1200
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#bf3989", "#57606a")


def colour(version: int) -> str:
    """The colour of a series' version."""
    return COLOURS[version % len(COLOURS)]


def svg(series: Series) -> str:
    """The drawing. Of very many points, means of neighbours are drawn."""
    points, count = series.points, len(series.points)
    low, high = _range([point.value for point in points])

    def across(index: float) -> float:
        return round(_LEFT + (index + 0.5) / count * (WIDTH - _LEFT - _RIGHT), 1)

    def down(value: float) -> float:
        share = (value - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    parts = [_axis(low, high, down), *_dates(points, across)]
    parts += [
        f'<circle cx="{across(at)}" cy="{down(value)}" r="2.4" fill="{colour(version)}" '
        f'fill-opacity="0.55"/>'
        for at, value, version in _dots(points)
    ]
    edges = [0, *(mark.shift.at for mark in series.marks), count]
    for start, end in pairwise(edges):
        mean = down(float(np.mean([point.value for point in points[start:end]])))
        ends = f'x1="{across(start - 0.5)}" x2="{across(end - 0.5)}"'
        parts.append(f'<line {ends} y1="{mean}" y2="{mean}" stroke="#1f2328" stroke-width="1.6"/>')
    for number, mark in enumerate(series.marks, 1):
        at = across(mark.shift.at - 0.5)
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="#b42318" '
            f'stroke-dasharray="4 3"/><text x="{at}" y="{_TOP - 6}" text-anchor="middle" '
            f'fill="#b42318" font-weight="600">{number}</text>'
        )
    return (
        f'<svg class="series" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-hidden="true" '
        f'font-size="11" fill="#57606a">{"".join(parts)}</svg>'
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Both ends of the axis; a point far out of all others is drawn beyond its edge."""
    low, high = (float(np.quantile(values, q)) for q in (0.005, 0.995))
    room = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    return low - room, high + room


def _dots(points: Sequence[Point]) -> list[tuple[float, float, int]]:
    """Place, value and version of each dot."""
    size = -(-len(points) // _MOST_DOTS)
    found = []
    placed = list(enumerate(points))
    for (version, _), group in groupby(placed, lambda p: (p[1].version, p[0] // size)):
        each = list(group)
        found.append(
            (
                float(np.mean([at for at, _ in each])),
                float(np.mean([point.value for _, point in each])),
                version,
            )
        )
    return found


def _axis(low: float, high: float, down: Callable[[float], float]) -> str:
    step = 10 ** np.floor(np.log10(high - low))
    step *= next(part for part in (0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 6)
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    lines = ""
    for value in np.arange(np.ceil(low / step) * step, high, step):
        at = down(float(value))
        lines += (
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}" stroke="#eaeef2"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{value:.{digits}f}</text>'
        )
    return lines


def _dates(points: Sequence[Point], across: Callable[[float], float]) -> list[str]:
    """The day at a few places; the axis is the order of points, for work comes in bursts."""
    shown, marks = "", []
    for at in np.unique(np.linspace(0, len(points) - 1, 7).astype(int)):
        day = date(points[at].time)
        if day != shown:
            place = min(across(at), WIDTH - 34)  # where all of it is in the picture
            marks.append(
                f'<text x="{place}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(day)}</text>'
            )
            shown = day
    return marks


def date(time: float) -> str:
    """The day of a time in seconds since 1970, where this runs."""
    return datetime.fromtimestamp(time).strftime("%Y-%m-%d")
