"""One picture that shows prompts, the pictures of each, and what was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 10
LINE = 15
LINES = 3
"""Lines of words under a picture."""
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
    height = 2 * LINE + side + LINES * LINE + GAP
    lines = -(-len(entries) // across)
    size = across * (width + 2 * GAP) + GAP, lines * (height + GAP) + 2 * GAP
    sheet = Image.new("RGB", size, "white")
    for at, entry in enumerate(entries):
        line, column = divmod(at, across)
        corner = 2 * GAP + column * (width + 2 * GAP), GAP + line * (height + GAP)
        _draw_entry(sheet, corner, entry, side, width - GAP)
    return sheet


def _draw_entry(
    sheet: Image.Image, corner: tuple[int, int], entry: Entry, side: int, width: int
) -> None:
    pen, (x, y) = ImageDraw.Draw(sheet), corner
    pen.text((x, y), *_written(_wrapped(entry.heading, _HEADING, width, 1)[0], INK, _HEADING))
    top = y + 2 * LINE
    for shown in entry.pictures:
        label = _wrapped(shown.label, _SMALL, side, 1)[0]
        pen.text((x, y + LINE), *_written(label, PALE, _SMALL))
        picture = _fitted(shown.picture, side)
        sheet.paste(picture, (x + (side - picture.width) // 2, top + side - picture.height))
        for number, words in enumerate(_wrapped(shown.words, _SMALL, side, LINES)):
            place = x, top + side + 2 + number * LINE
            pen.text(place, *_written(words, shown.colour, _SMALL))
        x += side + GAP


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    smaller = max(picture.size) < side
    method = Image.Resampling.NEAREST if smaller else Image.Resampling.LANCZOS
    return ImageOps.contain(picture.convert("RGB"), (side, side), method)


def _written(text: str, colour: str, size: int) -> tuple[str, str, ImageFont.FreeTypeFont]:
    return text, colour, ImageFont.load_default(size)


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
