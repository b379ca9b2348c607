"""One picture that shows prompts, the pictures of each, and what was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 10
LINE = 15
LINES = 3
"""Lines of words under a picture."""
HEADING_LINES = 2
"""At most; as many are left free as the longest heading needs."""
INK, PALE, RIGHT, WRONG = "#1b1b1b", "#6b6b6b", "#137333", "#b3261e"
_HEADING, _SMALL = 13, 11
"""Sizes of letters. Pillow's own font is used, which has Latin letters only."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture with its label above it and words under it, in this colour."""

    picture: Image.Image
    label: str
    words: str = ""
    colour: str = INK


@dataclass(frozen=True, eq=False)
class Entry:
    """What belongs together: pictures side by side under one heading, a prompt mostly."""

    heading: str
    pictures: Sequence[Shown]


def draw(entries: Sequence[Entry], side: int = 128, across: int = 3) -> Image.Image:
    """The entries in reading order, `across` a line; at least one, each with a picture.

    side: pixels of the square that each picture is fitted into. Smaller pictures are enlarged
    without smoothing, so that their own pixels stay to be seen. What is longer than its place ends
    in an ellipsis.
    """
    widest = max(len(entry.pictures) for entry in entries)
    width = widest * (side + GAP)
    headings = [_wrapped(each.heading, _HEADING, width - GAP, HEADING_LINES) for each in entries]
    head = (max(map(len, headings)) + 1) * LINE
    height = head + side + LINES * LINE + GAP
    lines = -(-len(entries) // across)
    size = across * (width + 2 * GAP) + GAP, lines * (height + GAP) + 2 * GAP
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for at, (entry, heading) in enumerate(zip(entries, headings, strict=True)):
        line, column = divmod(at, across)
        x, y = 2 * GAP + column * (width + 2 * GAP), GAP + line * (height + GAP)
        _write(pen, (x, y + head - (len(heading) + 1) * LINE), heading, INK, _HEADING)
        for shown in entry.pictures:
            _draw(sheet, pen, (x, y + head), shown, side)
            x += side + GAP
    return sheet


def _draw(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, place: tuple[int, int], shown: Shown, side: int
) -> None:
    """place: the corner of the picture's square, the label above it."""
    x, y = place
    _write(pen, (x, y - LINE), _wrapped(shown.label, _SMALL, side, 1), PALE, _SMALL)
    picture = _fitted(shown.picture, side)
    sheet.paste(picture, (x + (side - picture.width) // 2, y + side - picture.height))
    words = _wrapped(shown.words, _SMALL, side, LINES)
    _write(pen, (x, y + side + 2), words, shown.colour, _SMALL)


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    smaller = max(picture.size) < side
    method = Image.Resampling.NEAREST if smaller else Image.Resampling.LANCZOS
    return ImageOps.contain(picture.convert("RGB"), (side, side), method)


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], colour: str, size: int
) -> None:
    x, y = place
    for number, line in enumerate(lines):
        pen.text((x, y + number * LINE), line, colour, ImageFont.load_default(size))


def _wrapped(text: str, size: int, width: int, most: int) -> list[str]:
    """At most so many lines of this width in pixels."""
    lines, font = [""], ImageFont.load_default(size)
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    cut = len(lines) > most
    return [
        _shortened(line, font, width, cut and number == most)
        for number, line in enumerate(lines[:most], 1)
    ]


def _shortened(line: str, font: ImageFont.FreeTypeFont, width: int, cut: bool) -> str:
    """The line, with an ellipsis where it is cut or too long for its place."""
    end = " ..." if cut else ""
    while line and font.getlength(line + end) > width:
        line, end = line[:-1].rstrip(), " ..."
    return line + end
