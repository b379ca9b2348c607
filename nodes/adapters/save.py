"""SoftREPASave: an adapter into a file of ComfyUI's output folder."""

from __future__ import annotations

import dataclasses

import torch
from comfy_api.v0_0_2 import io, ui
from PIL import Image

from ...softrepa.adapter import Adapter
from ...softrepa.errors import AdapterError
from ...softrepa.files import modelspec
from ...softrepa.files import thumbnail as thumbnails
from ..types import SoftREPA
from .output_files import check_prefix, write_numbered


class SoftREPASave(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPASave",
            display_name="Save SoftREPA Adapter",
            category="SoftREPA",
            description="Writes an adapter as .safetensors. Files in output/softrepa can be chosen "
            "in Load SoftREPA Adapter at once. A picture, title and description given here show in "
            "ComfyUI's model library.",
            inputs=[
                SoftREPA.Input("adapter", tooltip="A loaded or blended adapter."),
                io.String.Input(
                    "filename_prefix",
                    default="softrepa/adapter",
                    tooltip="Folder and name below ComfyUI's output folder; a number is added, "
                    "so that nothing is overwritten.",
                ),
                io.Image.Input(
                    "thumbnail",
                    optional=True,
                    tooltip="The picture the model library shows: the first of the batch, made "
                    "small and written into the file. Without one, the adapter keeps its own.",
                ),
                io.String.Input(
                    "title",
                    optional=True,
                    default="",
                    tooltip="The adapter's name in the model library. Empty: as it was.",
                ),
                io.String.Input(
                    "description",
                    optional=True,
                    default="",
                    multiline=True,
                    tooltip="What it is for, in a sentence or two, for the model library. Empty: "
                    "as it was.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        # Before anything runs; a linked prefix comes when it is computed.
        try:
            if filename_prefix is not None:
                check_prefix(filename_prefix)
        except AdapterError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        adapter: Adapter,
        filename_prefix: str,
        thumbnail: torch.Tensor | None = None,
        title: str = "",
        description: str = "",
    ) -> io.NodeOutput:
        picture = None if thumbnail is None else thumbnails.jpeg(_first(thumbnail))
        labels = modelspec.labels(title, description, thumbnail=picture)
        adapter = dataclasses.replace(adapter, metadata={**adapter.metadata, **labels})
        path = write_numbered(filename_prefix, adapter)
        return io.NodeOutput(ui=ui.PreviewText(str(path)))


def _first(images: torch.Tensor) -> Image.Image:
    """images: (B, H, W, C) with 1, 3 or 4 channels in 0...1, as ComfyUI's IMAGE."""
    if 0 in images.shape:
        raise AdapterError("The thumbnail input holds no picture: connect one, or leave it open.")
    pixels = images[0].detach().cpu().float().nan_to_num(0.0).clamp(0.0, 1.0)
    array = (pixels * 255.0).round().to(torch.uint8).numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
