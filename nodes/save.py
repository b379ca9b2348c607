"""SoftREPASave: an adapter into a file of ComfyUI's output folder."""

from __future__ import annotations

import itertools
from pathlib import Path

import folder_paths
from comfy_api.v0_0_2 import io, ui

from ..softrepa import files
from ..softrepa.adapter import Adapter
from ..softrepa.errors import AdapterError
from .types import SoftREPA


class SoftREPASave(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPASave",
            display_name="Save SoftREPA Adapter",
            category="SoftREPA",
            description="Writes an adapter as .safetensors. Files in output/softrepa can be chosen "
            "in Load SoftREPA Adapter at once.",
            inputs=[
                SoftREPA.Input("adapter", tooltip="A loaded or blended adapter."),
                io.String.Input(
                    "filename_prefix",
                    default="softrepa/adapter",
                    tooltip="Folder and name below ComfyUI's output folder; a number is added, "
                    "so that nothing is overwritten.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, adapter: Adapter, filename_prefix: str) -> io.NodeOutput:
        path = _free_path(filename_prefix)
        try:
            files.write(path, adapter)
        except OSError as error:
            raise AdapterError(f"{path.name} cannot be written: {error.strerror}.") from error
        return io.NodeOutput(ui=ui.PreviewText(str(path)))


def _free_path(prefix: str) -> Path:
    folder, name, first, _, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory()
    )
    numbered = (
        Path(folder) / f"{name}_{number:05}_.safetensors" for number in itertools.count(first)
    )
    return next(path for path in numbered if not path.exists())
