"""The picture of an adapter's norms: bars for the tokens per block, lines for the offsets."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ...softrepa.adapter import Adapter
from ...softrepa.families import describe
from ...softrepa.files.summary import block_names, block_norms, time_norms

WIDTH, HEIGHT = 960, 400
_INK, _PAPER, _GRID = (30, 30, 34), (250, 250, 248), (214, 214, 210)
_MOST_NAMED = 12

Box = tuple[int, int, int, int]
Series = Sequence[Sequence[float]]


def draw_norms(adapter: Adapter) -> Image.Image:
    """An RGB picture of WIDTH x HEIGHT; the right half is missing where time plays no part."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    names = block_names(adapter)
    over_time = time_norms(adapter)
    _text(draw, (20, 12), describe(adapter.architecture, adapter.width), 16)
    middle = WIDTH if over_time is None else WIDTH // 2
    _text(draw, (20, 40), "norm of the tokens, per block" + _banks(adapter), 13)
    _bars(draw, (56, 68, middle - 24, HEIGHT - 52), block_norms(adapter).tolist(), names)
    if over_time is not None:
        _text(draw, (middle + 4, 40), "norm of the offsets, from noise to picture", 13)
        box = (middle + 40, 68, WIDTH - 24, HEIGHT - 52)
        _lines(draw, box, over_time.flatten(0, 1).flip(-1).tolist(), names)
    return image


def _banks(adapter: Adapter) -> str:
    return " (left: positive bank, right: negative)" if adapter.banks == 2 else ""


def _bars(draw: ImageDraw.ImageDraw, box: Box, banks: Series, names: Sequence[str]) -> None:
    top = _axis(draw, box, max(map(max, banks)))
    left, upper, right, lower = box
    slot = (right - left) / len(names)
    thickness = slot * 0.7 / len(banks)
    for index, name in enumerate(names):
        for bank, norms in enumerate(banks):
            x = left + slot * (index + 0.15) + thickness * bank
            y = lower - (lower - upper) * norms[index] / top
            draw.rectangle((x, y, x + thickness - 1, lower), fill=_colour(index, len(names), bank))
        if len(names) <= _MOST_NAMED or index % (len(names) // _MOST_NAMED + 1) == 0:
            _text(draw, (left + slot * (index + 0.5), lower + 8), name, 12, "ma")


def _lines(draw: ImageDraw.ImageDraw, box: Box, series: Series, names: Sequence[str]) -> None:
    """series: one line a bank and block, banks outermost; x runs over the timestep buckets."""
    top = _axis(draw, box, max(map(max, series)))
    left, upper, right, lower = box
    for index, norms in enumerate(series):
        step = (right - left) / max(len(norms) - 1, 1)
        points = [
            (left + step * place, lower - (lower - upper) * norm / top)
            for place, norm in enumerate(norms)
        ]
        bank, block = divmod(index, len(names))
        draw.line(points * 2 if len(points) == 1 else points, _colour(block, len(names), bank), 2)
    _text(draw, (left, lower + 8), "t = 1000", 12)
    _text(draw, (right, lower + 8), "t = 0", 12, "ra")


def _axis(draw: ImageDraw.ImageDraw, box: Box, highest: float) -> float:
    """Draws the grid from 0 to the highest value, and gives what the upper edge stands for."""
    left, upper, right, lower = box
    top = highest or 1.0
    for quarter in range(5):
        y = lower - (lower - upper) * quarter / 4
        draw.line((left, y, right, y), fill=_GRID)
        _text(draw, (left - 6, y), f"{top * quarter / 4:.2g}", 12, "rm")
    return top


def _colour(index: int, count: int, bank: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(0.6 - 0.55 * index / max(count, 1), 0.7, 0.85)
    shade = 0.6 if bank else 1.0
    return int(red * 255 * shade), int(green * 255 * shade), int(blue * 255 * shade)


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, anchor: str = "la"
) -> None:
    draw.text(at, text, fill=_INK, font=ImageFont.load_default(size), anchor=anchor)
