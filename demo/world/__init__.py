"""A small world of captioned pictures: one or two groups of flat shapes on a light ground.

A `Scene` says what a picture shows, `caption` puts it in words, `render` draws it, and
`write_folder` leaves an ordinary training folder (``000001.png`` beside ``000001.txt``); `judge`
tells from a picture what it shows. The scenes are split once and for all into a training and a
held-out part, so no caption of an evaluation can be in a training folder.
"""

from .drawing import render, write_folder
from .scenes import (
    COLOURS,
    GROUND,
    HELD_OUT_SHARE,
    INVERSE,
    MARK,
    NUMBERS,
    PAIR_SHARE,
    RELATIONS,
    SETTING,
    SHAPES,
    SIZE,
    SWEPT,
    SWEPT_SEED,
    Group,
    Scene,
    Split,
    all_scenes,
    canonical,
    caption,
    held_out_scenes,
    misdescribe,
    retold,
    sample_scene,
    split_of,
    unswept_scenes,
)

__all__ = [
    "COLOURS",
    "GROUND",
    "HELD_OUT_SHARE",
    "INVERSE",
    "MARK",
    "NUMBERS",
    "PAIR_SHARE",
    "RELATIONS",
    "SETTING",
    "SHAPES",
    "SIZE",
    "SWEPT",
    "SWEPT_SEED",
    "Group",
    "Scene",
    "Split",
    "all_scenes",
    "canonical",
    "caption",
    "held_out_scenes",
    "misdescribe",
    "render",
    "retold",
    "sample_scene",
    "split_of",
    "unswept_scenes",
    "write_folder",
]
