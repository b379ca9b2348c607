"""One picture that shows prompts, both pictures of each, and what the judge saw in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from . import world
from .comparison import Comparison
from .judge import describe, judge, look

ZOOM = 2
SIDE = world.SIZE * ZOOM
GAP = 10
LINE = 15
LINES = 3
"""Lines under a picture for what the judge saw."""
COLUMNS = 3
CELL = (2 * SIDE + GAP, 2 * LINE + SIDE + LINES * LINE + GAP)
INK, PALE, RIGHT, WRONG = "#1b1b1b", "#6b6b6b", "#137333", "#b3261e"


def contact_sheet(comparison: Comparison, count: int = 24) -> Image.Image:
    """The first `count` prompts, three a line; what is right in green, what is wrong in red."""
    count = min(count, len(comparison.scenes))
    lines = -(-count // COLUMNS)
    width = COLUMNS * (CELL[0] + 3 * GAP) + GAP
    sheet = Image.new("RGB", (width, lines * (CELL[1] + GAP) + 2 * GAP), "white")
    for index in range(count):
        line, column = divmod(index, COLUMNS)
        corner = (2 * GAP + column * (CELL[0] + 3 * GAP), GAP + line * (CELL[1] + GAP))
        _cell(sheet, corner, comparison, index)
    return sheet


def _cell(sheet: Image.Image, corner: tuple[int, int], comparison: Comparison, index: int) -> None:
    pen = ImageDraw.Draw(sheet)
    x, y = corner
    scene = comparison.scenes[index]
    pen.text((x, y), world.caption(scene), INK, _font(13))
    for name, pictures in (("without", comparison.before), ("with", comparison.after)):
        picture = pictures[index]
        pen.text((x, y + LINE), f"{name} the adapter", PALE, _font(11))
        sheet.paste(_enlarged(picture), (x, y + 2 * LINE))
        colour = RIGHT if judge(picture, scene).all else WRONG
        for number, words in enumerate(_wrapped(describe(look(picture)))):
            pen.text((x, y + 2 * LINE + SIDE + 2 + number * LINE), words, colour, _font(11))
        x += SIDE + GAP


def _enlarged(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def _wrapped(text: str) -> list[str]:
    """At most LINES lines as wide as a picture; the last one ends in an ellipsis if cut."""
    lines, font = [""], _font(11)
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= SIDE:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"{lines[LINES - 1]} ..."]
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
