"""SoftREPALoader: an adapter file from models/softrepa."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ...softrepa import files
from ..types import SoftREPA
from . import adapter_files
from .adapter_files import ARCHITECTURES


class SoftREPALoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPALoader",
            display_name="Load SoftREPA Adapter",
            category="SoftREPA",
            description="Loads a SoftREPA adapter: soft text tokens that make a model follow the "
            "prompt more closely. Files lie in ComfyUI's models/softrepa folder.",
            inputs=[
                io.Combo.Input(
                    "adapter",
                    options=adapter_files.names(),
                    tooltip="A file in models/softrepa: .safetensors, or the authors' "
                    "dc_tokens.pth (its dc_t_tokens.pth is found beside it).",
                ),
                io.Combo.Input(
                    "architecture",
                    options=list(ARCHITECTURES),
                    default=ARCHITECTURES[0],
                    optional=True,
                    tooltip="The kind of model it was trained for. auto: as the file says; only "
                    "files of other trainers whose width several models share need a choice.",
                ),
            ],
            outputs=[
                SoftREPA.Output(
                    display_name="adapter", tooltip="For Apply SoftREPA: the adapter's tokens."
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls, adapter: str | None = None, architecture: str | None = None
    ) -> bool | str:
        # Asked for here, ComfyUI leaves the check to us: its own compares with a list that the
        # file may be newer than, and knows one spelling. A linked name comes when it is computed.
        if architecture not in (None, *ARCHITECTURES):
            return f'"{architecture}" is no architecture: choose among {", ".join(ARCHITECTURES)}.'
        try:
            return adapter is None or adapter_files.path_of(adapter).is_file()
        except FileNotFoundError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, adapter: str, architecture: str = ARCHITECTURES[0]) -> str:
        return adapter_files.fingerprint(adapter)

    @classmethod
    def execute(cls, adapter: str, architecture: str = ARCHITECTURES[0]) -> io.NodeOutput:
        path = adapter_files.path_of(adapter)
        found = files.read(path, adapter_files.stated(architecture))
        # For whoever runs it through the API: which file it was, in the history's outputs.
        version = {"softrepa_adapter": [adapter], "softrepa_sha256": [adapter_files.sha256(path)]}
        return io.NodeOutput(found, ui=version)
