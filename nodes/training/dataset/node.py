"""SoftREPADataset: a folder's pairs to look at before an hour is spent on them."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from comfy_api.v0_0_2 import io, ui
from PIL import Image

from ....training import data
from ....training.data.captions.hard_captions import hard_captions
from ....training.data.captions.words import read_words
from ....training.data.pictures import images
from ....training.errors import BadInput
from .. import pictures
from ..wording import TrainingError, worded
from .alike import alike
from .sheet import Shown, draw

_NAMED = 20
"""Files, or groups of captions, that the report names of a kind."""


class SoftREPADataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPADataset",
            display_name="SoftREPA Dataset",
            category="SoftREPA/training",
            description="Shows what a folder would be trained on: pictures, captions and their "
            "hard captions, what is left out and why, and captions that are nearly equal.",
            inputs=[
                io.String.Input(
                    "folder",
                    default="my_pictures",
                    tooltip="A folder in ComfyUI's input: pictures, each with a .txt of its name "
                    "that says what is visible.",
                ),
                io.Int.Input(
                    "first",
                    default=1,
                    min=1,
                    max=10_000_000,
                    tooltip="The pair to begin with, in the order of the files.",
                ),
                io.Int.Input(
                    "count",
                    default=24,
                    min=1,
                    max=1000,
                    tooltip="So many pairs are shown and given as lists.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", is_output_list=True, tooltip="The pictures shown."
                ),
                io.String.Output(
                    display_name="captions",
                    is_output_list=True,
                    tooltip="Their captions; several of one picture stand on lines of their own.",
                ),
                io.Image.Output(
                    display_name="sheet",
                    tooltip="The pairs on one sheet, in red a hard caption of each where words of "
                    "the other captions make one.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What was left out and why, and which captions are nearly equal.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = None, **others: Any) -> str:
        return pictures.state_of(folder or "")

    @classmethod
    def execute(cls, folder: str, first: int, count: int) -> io.NodeOutput:
        try:
            pairs, report = data.find(pictures.folder_named(folder))
        except BadInput as error:
            raise TrainingError(worded(str(error))) from error
        if first > len(pairs):
            raise TrainingError(f"The folder has {len(pairs)} pairs: let first be one of them.")
        shown = pairs[first - 1 : first - 1 + count]
        captions = list(dict.fromkeys(caption for pair in pairs for caption in pair.captions))
        hard = _hard(shown, captions)
        arrays = [images.load(pair.image) for pair in shown]
        sheet = draw(
            [
                Shown(_image(array), pair.image.name, pair.captions, hard[pair.captions[0]])
                for pair, array in zip(shown, arrays, strict=True)
            ]
        )
        drawn = torch.from_numpy(numpy.asarray(sheet, dtype=numpy.float32) / 255.0)[None]
        text = "\n".join([str(report), *_left_out(report), *_nearly_equal(captions)])
        seen = ui.PreviewImage(drawn, cls=cls).as_dict()
        return io.NodeOutput(
            [torch.from_numpy(array)[None] for array in arrays],
            ["\n".join(pair.captions) for pair in shown],
            drawn,
            text,
            ui={**seen, **ui.PreviewText(text).as_dict()},
        )


def _hard(shown: list[data.Pair], captions: list[str]) -> dict[str, tuple[str, ...]]:
    """As `hard_share` would make them, in words of all the captions."""
    words = read_words().seen_in(captions)
    firsts = [pair.captions[0] for pair in shown]
    return {one: tuple(hard_captions(one, random.Random(0), words)) for one in firsts}


def _left_out(report: data.Report) -> list[str]:
    told = [f"unreadable: {path.name}: {why}" for path, why in report.unreadable]
    told += [f"not read: {path.name}: {remedy}" for path, remedy in report.unsupported]
    told += [f"without caption: {path.name}" for path in report.uncaptioned]
    told += [f"caption without image: {name}" for name in report.imageless]
    more = [f"and {len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return [*told[:_NAMED], *more]


def _nearly_equal(captions: list[str]) -> list[str]:
    groups = alike(captions)
    if not groups:
        return []
    told = [" | ".join(group[:4]) for group in groups[:_NAMED]]
    head = (
        f"nearly equal captions: {sum(map(len, groups))}, in {len(groups)} groups; training tells "
        "them apart though they say the same:"
    )
    return [head, *told]


def _image(array: numpy.ndarray) -> Image.Image:
    """array: (H, W, 3) in 0...1."""
    return Image.fromarray((array * 255).round().astype(numpy.uint8))
