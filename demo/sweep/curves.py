"""Curves over a logarithmic axis in panels side by side, as one PNG drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Points = Sequence[tuple[float, float]]
"""(x, y), in order of x."""

WIDTH, HEIGHT, SCALE = 470, 330, 2
"""Of a panel; everything is drawn SCALE times as large."""
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 40, 52
LINE = 22
INK, GRID, MARKED = "#1f2328", "#e4e4e4", "#8a929b"
COLOURS = ("#1f5fa8", "#d9480f", "#15803d", "#7e22ce", "#8d6e00", "#17a2b8", "#d6336c")


@dataclass(frozen=True)
class Panel:
    """Curves by name. A name has the same colour in every panel."""

    title: str
    curves: Mapping[str, Points]


def draw(
    rows: Sequence[Sequence[Panel]], file: Path, across: str, marks: Mapping[str, float]
) -> None:
    """The panels in rows, on the same axes, and a legend below; marks: upright lines, by name."""
    panels = [panel for row in rows for panel in row]
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    points = [point for panel in panels for curve in panel.curves.values() for point in curve]
    legend = LINE * (math.ceil(len(names) / 4) + 1)
    size = max(len(row) for row in rows) * WIDTH, len(rows) * HEIGHT + legend
    image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), "white")
    pen = Pen(ImageDraw.Draw(image))
    axes = Axes.around(points)
    for down, row in enumerate(rows):
        for right, panel in enumerate(row):
            place = (right * WIDTH, down * HEIGHT)
            _panel(pen, place, axes, panel, names, across, marks)
    for at, name in enumerate(names):
        x, y = LEFT + at % 4 * 225, len(rows) * HEIGHT + LINE * (at // 4 + 0.5)
        pen.line([(x, y), (x + 22, y)], _colour(names, name), 3)
        pen.text((x + 30, y), name, 13, "lm")
    image.save(file, optimize=True)


@dataclass(frozen=True)
class Axes:
    """x as powers of two of a thousand, and y, from the least to the most."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, points: Points) -> Axes:
        powers = [math.log2(x / 1000) for x, _ in points]
        heights = [0.0, *(y for _, y in points)]
        return cls(min(powers) - 0.3, max(powers) + 0.3, min(heights) - 1, max(heights) + 1)

    def place(self, corner: tuple[float, float], x: float, y: float) -> tuple[float, float]:
        right = (math.log2(x / 1000) - self.left) / (self.right - self.left)
        up = (y - self.low) / (self.high - self.low)
        wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return corner[0] + LEFT + right * wide, corner[1] + TOP + (1 - up) * tall


class Pen:
    """Draws in final pixels."""

    def __init__(self, pen: ImageDraw.ImageDraw) -> None:
        self._pen = pen

    def line(self, places: Points, colour: str, width: float = 1) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in places]
        self._pen.line(scaled, colour, round(width * SCALE), joint="curve")

    def dot(self, place: tuple[float, float], colour: str, radius: float = 3.5) -> None:
        x, y = place
        box = [(part + side * radius) * SCALE for side in (-1, 1) for part in (x, y)]
        self._pen.ellipse(box, colour)

    def text(
        self,
        place: tuple[float, float],
        text: str,
        size: int,
        anchor: str = "lt",
        colour: str = INK,
    ) -> None:
        font = ImageFont.load_default(size * SCALE)
        self._pen.text((place[0] * SCALE, place[1] * SCALE), text, colour, font, anchor)


def _panel(
    pen: Pen,
    corner: tuple[float, float],
    axes: Axes,
    panel: Panel,
    names: Sequence[str],
    across: str,
    marks: Mapping[str, float],
) -> None:
    first, last = 1000 * 2.0**axes.left, 1000 * 2.0**axes.right
    pen.text((corner[0] + LEFT, corner[1] + 8), panel.title, 16)
    for value in range(5 * math.ceil(axes.low / 5), math.floor(axes.high) + 1, 5):
        ends = [axes.place(corner, x, value) for x in (first, last)]
        pen.line(ends, INK if value == 0 else GRID)
        pen.text((ends[0][0] - 8, ends[0][1]), f"{value:+d}" if value else "0", 13, "rm")
    for name, x in marks.items():
        foot, head = (axes.place(corner, x, y) for y in (axes.low, axes.high))
        pen.line([foot, head], MARKED)
        pen.text((head[0] - 5, head[1] + 1), name, 11, "rt", MARKED)
    for power in range(math.ceil(axes.left), math.floor(axes.right) + 1):
        x, y = axes.place(corner, 1000 * 2.0**power, axes.low)
        pen.text((x, y + 7), f"{2.0**power:g}k", 12, "mt")
    right, foot = axes.place(corner, last, axes.low)
    pen.text((right, foot + 25), across, 12, "rt")
    for name, points in panel.curves.items():
        places = [axes.place(corner, x, y) for x, y in points]
        pen.line(places, _colour(names, name), 2)
        for place in places:
            pen.dot(place, _colour(names, name))


def _colour(names: Sequence[str], name: str) -> str:
    return COLOURS[names.index(name) % len(COLOURS)]
