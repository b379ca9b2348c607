"""ComfyUI as a library, for the parts of the demo that need no server."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def attach() -> None:
    """Make `comfy` importable from the folder COMFYUI_PATH names, on the CPU.

    Does nothing where `comfy` is already loaded. Raises RuntimeError when COMFYUI_PATH is
    unset or no ComfyUI folder.
    """
    if "comfy" in sys.modules:
        return
    folder = Path(os.environ.get("COMFYUI_PATH", ""))
    if not os.environ.get("COMFYUI_PATH") or not (folder / "comfy" / "sd.py").is_file():
        raise RuntimeError("COMFYUI_PATH must name a folder with ComfyUI in it")
    sys.path.insert(0, str(folder))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
