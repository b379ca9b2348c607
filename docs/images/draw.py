"""Draws icon.png and banner.png, which the registry and ComfyUI's Manager show.

    python docs/images/draw.py

A row of tokens, the prompt's own and the soft ones beside them, and the picture that it asks for.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
ICON = (400, 400)
BANNER = (1470, 630)
"""The registry asks for a square of at most 400 pixels, and for 21:9."""
FINER = 3
"""Everything is drawn this much larger and scaled down, for smooth edges."""

NIGHT, PAPER, INK, GREY = "#1b1e2b", "#f4f1ea", "#2a2d3a", "#aeb4c6"
RED, BLUE = "#e0453a", "#3b6fe0"
SOFT = ("#f7b955", "#f58fa8", "#b79bf2", "#6fd0c5")

Box = tuple[float, float, float, float]


class Sheet:
    """A canvas in final pixels."""

    def __init__(self, size: tuple[int, int], colour: str | None = None) -> None:
        self.image = Image.new("RGBA", (size[0] * FINER, size[1] * FINER), colour or (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self.image)

    def block(self, box: Box, radius: float, colour: str) -> None:
        self._pen.rounded_rectangle(_scaled(box), radius * FINER, fill=colour)

    def disc(self, box: Box, colour: str) -> None:
        self._pen.ellipse(_scaled(box), fill=colour)

    def glow(self, box: Box, radius: float, colour: str, spread: float) -> None:
        """A block with a soft light of its own colour around it."""
        # Clear, but of that colour: blurred into clear black, the light would be a shadow.
        light = Image.new("RGBA", self.image.size, f"{colour}00")
        ImageDraw.Draw(light).rounded_rectangle(_scaled(box), radius * FINER, fill=colour)
        self.image.alpha_composite(light.filter(ImageFilter.GaussianBlur(spread * FINER)))
        self.block(box, radius, colour)

    def words(self, place: tuple[float, float], text: str, size: float, colour: str) -> None:
        """Text whose middle left lies at `place`."""
        font = ImageFont.load_default(size * FINER)
        self._pen.text((place[0] * FINER, place[1] * FINER), text, colour, font, anchor="lm")

    def done(self) -> Image.Image:
        size = (self.image.width // FINER, self.image.height // FINER)
        return self.image.resize(size, Image.Resampling.LANCZOS)


def width_of(text: str, size: float) -> float:
    return ImageFont.load_default(size * FINER).getlength(text) / FINER


def _scaled(box: Box) -> Box:
    return tuple(value * FINER for value in box)


def icon() -> Image.Image:
    sheet = Sheet(ICON)
    sheet.block((0, 0, 399, 399), 76, NIGHT)
    _picture(sheet, (76, 52, 324, 248), 24)
    for index, colour in enumerate(SOFT[:2]):
        left = 52 + index * 78
        sheet.glow((left, 290, left + 62, 338), 16, colour, 13)
    for index in range(2):
        left = 208 + index * 78
        sheet.block((left, 290, left + 62, 338), 16, GREY)
    return sheet.done()


def banner() -> Image.Image:
    sheet = Sheet(BANNER, NIGHT)
    sheet.words((84, 190), "SoftREPA", 118, PAPER)
    sheet.words((88, 290), "soft text tokens beside the prompt's own", 34, GREY)
    for index, colour in enumerate(SOFT):
        left = 88 + index * 76
        sheet.glow((left, 372, left + 60, 426), 16, colour, 14)
    left = 88 + len(SOFT) * 76
    for line, top in (("two red circles", 372), ("left of a blue square", 450)):
        for word in line.split():
            right = left + width_of(word, 30) + 32
            sheet.block((left, top, right, top + 54), 16, "#343a50")
            sheet.words((left + 16, top + 27), word, 30, PAPER)
            left = right + 14
        left = 88
    _picture(sheet, (930, 96, 1386, 534), 36)
    return sheet.done()


def _picture(sheet: Sheet, frame: Box, radius: float) -> None:
    """Two red circles left of a blue square, on paper."""
    sheet.block(frame, radius, PAPER)
    left, top, right, bottom = frame
    middle, side = (top + bottom) / 2, (right - left) / 100
    circle, gap = 13 * side, 4 * side
    for centre in (middle - circle - gap, middle + circle + gap):
        across = left + 28 * side
        sheet.disc((across - circle, centre - circle, across + circle, centre + circle), RED)
    across, half = left + 70 * side, 15 * side
    sheet.block((across - half, middle - half, across + half, middle + half), side, BLUE)


if __name__ == "__main__":
    icon().save(HERE / "icon.png", optimize=True)
    banner().convert("RGB").save(HERE / "banner.png", optimize=True)
