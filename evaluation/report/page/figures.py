"""Intervals drawn as small SVGs, to stand in a table's cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 160, 18
GAIN, LOSS, OPEN = "#1a7f37", "#b42318", "#57606a"


@dataclass(frozen=True)
class Interval:
    """A value with its interval, in the table's unit; ends may be infinite."""

    value: float
    low: float
    high: float


def bounds(intervals: Sequence[Interval], centre: float) -> float:
    """How far a table's axis reaches to either side of `centre`."""
    ends = [end for i in intervals for end in (i.low, i.high, i.value) if math.isfinite(end)]
    return max((abs(end - centre) for end in ends), default=1.0) * 1.08 or 1.0


def colour(interval: Interval, centre: float) -> str:
    """Green above the centre, red below, grey where the interval holds it."""
    if interval.low > centre:
        return GAIN
    return LOSS if interval.high < centre else OPEN


def svg(interval: Interval, centre: float, reach: float) -> str:
    """The drawing, with `centre` in the middle and an axis of +- `reach`."""

    def across(value: float) -> float:
        share = (value - centre) / reach if math.isfinite(value) else math.copysign(1, value)
        return round(WIDTH / 2 * (1 + max(-1.0, min(1.0, share))), 2)

    middle, ink = HEIGHT / 2, colour(interval, centre)
    shape = (
        f'<line x1="{WIDTH / 2}" y1="0" x2="{WIDTH / 2}" y2="{HEIGHT}" stroke="#c9d1d9"/>'
        f'<line x1="{across(interval.low)}" y1="{middle}" x2="{across(interval.high)}" '
        f'y2="{middle}" stroke="{ink}" stroke-width="3"/>'
    )
    if math.isfinite(interval.value):
        shape += f'<circle cx="{across(interval.value)}" cy="{middle}" r="4.5" fill="{ink}"/>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-hidden="true">{shape}</svg>'
    )
