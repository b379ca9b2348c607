"""A sheet of thumbnails with their captions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

_ACROSS, _SIDE, _GAP, _LINE = 4, 224, 12, 15
_LETTERS, _LINES = 34, 7
"""Of a line below a picture, and lines."""
_INK, _NAME, _HARD = "#222222", "#888888", "#c2410c"


@dataclass(frozen=True)
class Shown:
    """One pair. hard: captions that are nearly right, as training would set against it."""

    picture: Image.Image
    name: str
    captions: Sequence[str]
    hard: Sequence[str]


def draw(pairs: Sequence[Shown]) -> Image.Image:
    """File names in grey, captions in black, hard captions in red after "not:"."""
    across = min(_ACROSS, len(pairs))
    down = -(-len(pairs) // across)
    cell = _SIDE + _GAP, _SIDE + _LINES * _LINE + _GAP
    sheet = Image.new("RGB", (across * cell[0] + _GAP, down * cell[1] + _GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for at, pair in enumerate(pairs):
        left, top = _GAP + at % across * cell[0], _GAP + at // across * cell[1]
        shown = ImageOps.contain(pair.picture, (_SIDE, _SIDE))
        sheet.paste(shown, (left + (_SIDE - shown.width) // 2, top + _SIDE - shown.height))
        for line, (text, colour) in enumerate(_lines(pair)[:_LINES]):
            pen.text((left, top + _SIDE + 4 + line * _LINE), text, colour, font)
    return sheet


def _lines(pair: Shown) -> list[tuple[str, str]]:
    told = [(pair.name, _NAME), *((caption, _INK) for caption in pair.captions[:2])]
    told += [(f"not: {caption}", _HARD) for caption in pair.hard[:1]]
    return [
        (line, colour)
        for text, colour in told
        for line in textwrap.wrap(text, _LETTERS)[: 1 if colour == _NAME else 3]
    ]
