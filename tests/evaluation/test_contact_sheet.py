"""A contact sheet: what stands where, and that nothing leaves its place."""

from __future__ import annotations

import numpy as np
from comfyui_softrepa.evaluation.pictures.contact_sheet import GAP, LINE, RIGHT, Entry, Shown, draw
from PIL import Image, ImageColor

SIDE = 96
RED, BLUE = (200, 0, 0), (0, 0, 200)


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (48, 48)) -> Image.Image:
    return Image.new("RGB", size, colour)


def at(sheet: Image.Image, column: int, line: int, pictures: int = 2) -> tuple[int, int]:
    """The corner of an entry's first picture."""
    width = pictures * (SIDE + GAP) + 2 * GAP
    return 2 * GAP + column * width, GAP + line * (sheet.height - 2 * GAP) // 2 + 2 * LINE


def test_pictures_stand_side_by_side_entries_in_reading_order():
    first = Entry("first", [Shown(flat(RED), "a"), Shown(flat(BLUE), "b")])
    sheet = draw([first, first, Entry("third", [Shown(flat(BLUE), "a")])], SIDE, across=2)
    for column, line, colour in ((0, 0, RED), (1, 0, RED), (0, 1, BLUE)):
        x, y = at(sheet, column, line)
        assert sheet.getpixel((x, y)) == sheet.getpixel((x + SIDE - 1, y + SIDE - 1)) == colour
        assert sheet.getpixel((x - 1, y)) == sheet.getpixel((x + SIDE, y)) == (255, 255, 255)
    x, y = at(sheet, 0, 0)
    assert sheet.getpixel((x + SIDE + GAP, y)) == BLUE
    assert sheet.getpixel(at(sheet, 1, 1)) == (255, 255, 255)


def test_small_pictures_keep_their_pixels_and_wide_ones_their_shape():
    checked = Image.fromarray(np.indices((48, 48)).sum(0).astype(np.uint8) % 2 * 255)
    wide = flat(RED, (400, 200))
    sheet = draw([Entry("", [Shown(checked, ""), Shown(wide, "")])], SIDE)
    x, y = 2 * GAP, GAP + 2 * LINE
    enlarged = sheet.crop((x, y, x + SIDE, y + SIDE))
    assert {colour for _, colour in enlarged.getcolors()} == {(0, 0, 0), (255, 255, 255)}
    x += SIDE + GAP
    assert sheet.getpixel((x, y + SIDE // 2 - 1)) == (255, 255, 255)
    assert sheet.getpixel((x, y + SIDE // 2)) == sheet.getpixel((x, y + SIDE - 1)) == RED


def test_words_have_their_colour_and_stay_below_their_picture():
    endless = "W" * 200
    for words in ("two red circles " * 30, endless, f"a {endless} b"):
        shown = Shown(flat((255, 255, 255)), endless, words, RIGHT)
        sheet = draw([Entry(endless, [shown, Shown(flat(RED), "")])], SIDE)
        inked = np.asarray(sheet.convert("L")) < 250
        x = 2 * GAP
        assert not inked[:, :x].any() and not inked[:, x + 2 * SIDE + GAP :].any()
        assert not inked[GAP + LINE + 2 :, x + SIDE : x + SIDE + GAP].any()
        below = sheet.crop((0, GAP + 2 * LINE + SIDE, *sheet.size))
        assert ImageColor.getrgb(RIGHT) in {colour for _, colour in below.getcolors(1 << 16)}


def test_a_heading_takes_two_lines_where_one_entry_needs_them():
    pictures = [Shown(flat(RED), ""), Shown(flat(BLUE), "")]
    long = Entry("three purple triangles below three yellow triangles", pictures)
    short = draw([Entry("one", pictures), Entry("two", pictures)], SIDE)
    both = draw([Entry("one", pictures), long], SIDE)
    assert both.height == short.height + LINE
    lower = both.crop((0, LINE, short.width, both.height))
    half = 2 * (SIDE + GAP) + GAP
    assert (
        lower.crop((0, GAP, half, lower.height)).tobytes()
        == short.crop((0, GAP, half, short.height)).tobytes()
    ), "a shorter one stands next to its pictures"


def test_a_cut_text_ends_in_an_ellipsis():
    def inked(words: str) -> int:
        sheet = draw([Entry("", [Shown(flat((255, 255, 255)), "", words)])], SIDE)
        return int((np.asarray(sheet.convert("L")) < 128).sum())

    three = "mmmmmmmmm mmmmmmmmm mmmmmmmmm"
    assert 0 < inked(three) < inked(f"{three} mmmmmm") == inked(f"{three} {three}")
