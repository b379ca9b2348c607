"""The answer and its intervals as one PNG, drawn with Pillow."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFont

from .analysis import Analysis, Comparison
from .analysis.pilot import PilotAnswer
from .page.figures import Interval, bounds, colour
from .texts import Texts
from .wording import Scale, answer, percent

WIDTH, MARGIN, LINE, ROW, SCALE = 960, 28, 24, 30, 2
LABEL, AXIS = 330, 340
"""Width of the names, and of the axis that follows them."""
INK, PALE = "#1f2328", "#57606a"

Row = tuple[str, str, Interval, float, float]
"""Name, number in words, interval, centre of its axis, reach of its axis."""


def chart(analysis: Analysis, pilot: PilotAnswer | None = None) -> bytes:
    """A PNG, in English: Pillow's own font has no Japanese."""
    lines: list[tuple[str, object]] = [("title", analysis.manifest.name)]
    if pilot:
        said = f"Pilot: {pilot.values['called']}. {pilot.values['answer']}"
        lines += [("words", words) for words in _wrapped(_drawable(said))] + [("gap", None)]
    for comparison in analysis.comparisons:
        lines += [("words", words) for words in _wrapped(_said(comparison))]
        lines += [("row", row) for row in _rows(comparison)] + [("gap", None)]
    heights = {"title": 48, "words": LINE, "row": ROW, "gap": 20}
    height = sum(heights[kind] for kind, _ in lines) + 2 * MARGIN
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), "white")
    pen, y = ImageDraw.Draw(image), MARGIN
    for kind, what in lines:
        if kind == "row":
            _draw_row(pen, y, what)
        elif what is not None:
            _text(pen, MARGIN, y, _drawable(str(what)), 24 if kind == "title" else 16)
        y += heights[kind]
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _said(comparison: Comparison) -> str:
    return _drawable(answer(comparison, Texts("en")))


def _drawable(text: str) -> str:
    """The text without what the font cannot draw."""
    return "".join(c if c == "…" or ord(c) < 256 else "?" for c in text)


def _rows(comparison: Comparison) -> list[Row]:
    texts, rows = Texts("en"), []
    if comparison.votes:
        decision = comparison.votes.decision
        interval = Interval(decision.share, *decision.anytime.interval)
        rows.append(("votes: share won", percent(decision.share), interval, 0.5, 0.5))
    for result in comparison.scorers:
        d, scale = result.overall.difference, Scale(result, texts)
        interval = Interval(d.mean, d.low, d.high)
        number = scale.difference(d.mean)
        rows.append((result.scorer, number, interval, 0.0, bounds([interval], 0.0)))
        reach = bounds([_interval(row) for row in result.categories.values()], 0.0)
        for name, row in result.categories.items():
            number = scale.difference(row.difference.mean)
            said = texts.category(name)
            rows.append((f"    {said}", number, _interval(row), 0.0, reach))
    return rows


def _interval(row) -> Interval:
    return Interval(row.difference.mean, row.difference.low, row.difference.high)


def _draw_row(pen: ImageDraw.ImageDraw, y: int, row: object) -> None:
    name, number, interval, centre, reach = row
    middle, left = y + ROW // 2, MARGIN + LABEL
    ink = colour(interval, centre)

    def across(value: float) -> float:
        share = (value - centre) / reach if math.isfinite(value) else math.copysign(1, value)
        return (left + AXIS / 2 * (1 + max(-1.0, min(1.0, share)))) * SCALE

    _text(pen, MARGIN, middle, _short(name), 15, "lm")
    pen.line([(across(centre), y * SCALE), (across(centre), (y + ROW) * SCALE)], "#c9d1d9", SCALE)
    pen.line(
        [(across(interval.low), middle * SCALE), (across(interval.high), middle * SCALE)],
        ink,
        3 * SCALE,
    )
    if math.isfinite(interval.value):
        x, radius = across(interval.value), 5 * SCALE
        box = (x - radius, middle * SCALE - radius, x + radius, middle * SCALE + radius)
        pen.ellipse(box, ink)
    _text(pen, left + AXIS + 20, middle, number, 15, "lm")


def _short(name: str) -> str:
    name = _drawable(name)
    return name if len(name) <= 38 else f"{name[:37]}…"


def _wrapped(text: str) -> list[str]:
    """Lines as wide as the picture; a word that is wider than a line is cut."""
    font, lines = ImageFont.load_default(16 * SCALE), [""]
    widest = (WIDTH - 2 * MARGIN) * SCALE
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= widest or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _text(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, anchor: str = "la"
) -> None:
    ink = INK if size > 15 or not text.startswith(" ") else PALE
    font = ImageFont.load_default(size * SCALE)
    pen.text((x * SCALE, y * SCALE), text, ink, font, anchor)
