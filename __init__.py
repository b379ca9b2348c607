"""ComfyUI-SoftREPA: soft text tokens that make a model paint what the prompt says."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.v0_0_2 import ComfyExtension

WEB_DIRECTORY = "./web"

# An older ComfyUI passes over the entry point below, and does not tell its user why.
if find_spec("comfy") and not (find_spec("comfy_api") and find_spec("comfy_api.v0_0_2")):
    logging.warning("SoftREPA needs ComfyUI 0.3.75 or newer: please update ComfyUI.")


async def comfy_entrypoint() -> ComfyExtension:
    # Imported here, so that the trainer can use the package without ComfyUI's node API.
    from .nodes import SoftREPAExtension

    return SoftREPAExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
