"""The pack's nodes, and the extension that announces them to ComfyUI."""

from __future__ import annotations

from comfy_api.v0_0_2 import ComfyExtension, io

from .adapter_files import register_folder
from .apply import SoftREPAApply
from .loader import SoftREPALoader

NODES: list[type[io.ComfyNode]] = [SoftREPALoader, SoftREPAApply]


class SoftREPAExtension(ComfyExtension):
    async def on_load(self) -> None:
        register_folder()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_folder()
        return NODES


__all__ = ["NODES", "SoftREPAExtension"]
