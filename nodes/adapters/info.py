"""SoftREPAInfo: what an adapter holds, as text and as a picture."""

from __future__ import annotations

import numpy
import torch
from comfy_api.v0_0_2 import io, ui

from ...softrepa.adapter import Adapter
from ...softrepa.files.summary import summary
from ..types import SoftREPA
from .chart import draw_norms


class SoftREPAInfo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAInfo",
            display_name="SoftREPA Adapter Info",
            category="SoftREPA",
            description="Shows what an adapter holds: the model it is for, its blocks, tokens and "
            "training, and how strong they are in each block and over time.",
            inputs=[SoftREPA.Input("adapter", tooltip="The adapter to look at.")],
            outputs=[
                io.String.Output(display_name="text", tooltip="The adapter in words."),
                io.Image.Output(
                    display_name="picture",
                    tooltip="Norms of the tokens per block, and of the offsets over time.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, adapter: Adapter) -> io.NodeOutput:
        text = "\n".join(summary(adapter))
        pixels = numpy.asarray(draw_norms(adapter), dtype=numpy.float32) / 255.0
        picture = torch.from_numpy(pixels).unsqueeze(0)
        shown = {**ui.PreviewImage(picture, cls=cls).as_dict(), **ui.PreviewText(text).as_dict()}
        return io.NodeOutput(text, picture, ui=shown)
