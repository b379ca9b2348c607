"""The curves of a run as a PNG, drawn with Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .files import write_whole

WIDTH, PANEL, SCALE = 960, 320, 2
LEFT, RIGHT, TOP, BOTTOM = 80, 24, 48, 44
INK, GRID, RAW, SMOOTH, HELD_OUT = "#222222", "#e4e4e4", "#b9d3ee", "#1f5fa8", "#c2410c"


@dataclass(frozen=True)
class Curve:
    """points: (step, value), in order of steps."""

    points: Sequence[tuple[float, float]]
    colour: str
    label: str
    width: int = 2
    dots: bool = False


def draw(entries: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Loss and accuracy over steps, with validation where logged. Nothing for no step.

    Steps without a finite loss are left out. Raises OSError.
    """
    if not entries:
        return
    image = Image.new("RGB", (WIDTH * SCALE, (2 * PANEL + 24) * SCALE), "white")
    pen = ImageDraw.Draw(image)
    _panel(pen, 24, f"{title}: loss", _curves(entries, "loss", "val_loss"), None)
    bounds = (0.0, 1.0)
    accuracy = _curves(entries, "accuracy", "val_accuracy")
    _panel(pen, 24 + PANEL, "accuracy", accuracy, bounds)
    content = io.BytesIO()
    image.save(content, "PNG")
    write_whole(path, content.getvalue())


def _curves(entries: Sequence[dict[str, Any]], name: str, held_out: str) -> list[Curve]:
    before = [{**e["before"], "step": e["step"] - 1} for e in entries if "before" in e]
    raw, checked = (
        [(e["step"], e[key]) for e in (*before, *entries) if math.isfinite(_number(e.get(key)))]
        for key in (name, held_out)
    )
    curves = [Curve(raw, RAW, "each step", 1), Curve(_smooth(raw), SMOOTH, "running mean")]
    return curves + ([Curve(checked, HELD_OUT, "held out", 2, True)] if checked else [])


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The mean over the last tenth of the run so far, at least five steps."""
    window = max(5, len(points) // 10)
    smoothed, total = [], 0.0
    for at, (step, value) in enumerate(points):
        total += value - (points[at - window][1] if at >= window else 0.0)
        smoothed.append((step, total / min(at + 1, window)))
    return smoothed


def _panel(
    pen: ImageDraw.ImageDraw,
    top: int,
    title: str,
    curves: Sequence[Curve],
    bounds: tuple[float, float] | None,
) -> None:
    points = [point for curve in curves for point in curve.points]
    if not points:
        return
    low, high = bounds or _bounds([value for _, value in points])
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    box = (LEFT, top + TOP, WIDTH - RIGHT, top + PANEL - BOTTOM)

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - first) / max(1e-9, last - first)
        up = (value - low) / (high - low)
        x, y = box[0] + across * (box[2] - box[0]), box[3] - up * (box[3] - box[1])
        return x * SCALE, y * SCALE

    _text(pen, LEFT, top + 6, title, 17)
    for value in _ticks(low, high):
        pen.line([place(first, value), place(last, value)], GRID, SCALE)
        _text(pen, LEFT - 10, place(first, value)[1] / SCALE, f"{value:g}", 13, "rm")
    for step in _ticks(first, last):
        if step == int(step):
            _text(pen, place(step, low)[0] / SCALE, box[3] + 8, f"{step:g}", 13, "mt")
    _text(pen, WIDTH - RIGHT, box[3] + 26, "step", 13, "rt")
    pen.line([place(first, low), place(last, low)], INK, SCALE)
    for curve in curves:
        _curve(pen, [place(*point) for point in curve.points], curve)
    _legend(pen, top, curves)


def _curve(pen: ImageDraw.ImageDraw, places: list[tuple[float, float]], curve: Curve) -> None:
    if len(places) > 1:
        pen.line(places, curve.colour, curve.width * SCALE, joint="curve")
    if curve.dots or len(places) == 1:
        for x, y in places:
            radius = 3 * SCALE
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), curve.colour)


def _legend(pen: ImageDraw.ImageDraw, top: int, curves: Sequence[Curve]) -> None:
    x = WIDTH - RIGHT - 130 * len(curves)
    for curve in curves:
        line = [(x * SCALE, (top + 16) * SCALE), ((x + 22) * SCALE, (top + 16) * SCALE)]
        pen.line(line, curve.colour, 3 * SCALE)
        _text(pen, x + 30, top + 16, curve.label, 13, "lm")
        x += 130


def _text(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, anchor: str = "lt"
) -> None:
    font = ImageFont.load_default(size * SCALE)
    pen.text((x * SCALE, y * SCALE), text, INK, font, anchor)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """All but the highest hundredth, so that one bad step does not flatten the rest."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)))]
    margin = 0.05 * (high - low) or max(1e-6, 0.05 * abs(high))
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers between the two."""
    if high <= low:
        return [low]
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    start = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(start, math.floor(high / step + 1e-9) + 1)]
