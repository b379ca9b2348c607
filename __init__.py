"""ComfyUI-SoftREPA: soft text tokens that make a model paint what the prompt says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.v0_0_2 import ComfyExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> ComfyExtension:
    # Imported here, so that the trainer can use the package without ComfyUI's node API.
    from .nodes import SoftREPAExtension

    return SoftREPAExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
