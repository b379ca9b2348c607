"""Imports the pack, and ComfyUI as a library, outside a running ComfyUI."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

NAME = "comfyui_softrepa"
ROOT = Path(__file__).resolve().parent.parent


def import_pack() -> None:
    """Makes `comfyui_softrepa` importable; its root is the repository."""
    if NAME in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)


def import_comfyui() -> None:
    """Makes the ComfyUI that COMFYUI_PATH names importable, on the CPU.

    The repository and its folders leave `sys.path`, where its `nodes` would shadow ComfyUI's, and
    the demo's `statistics` Python's own.
    """
    folders = {ROOT, *(path for path in ROOT.iterdir() if path.is_dir())}
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in folders]
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    # ComfyUI reads its arguments from sys.argv at import; this program's are not for it.
    arguments, sys.argv = sys.argv, ["main.py", "--cpu"]
    try:
        importlib.import_module("comfy.options").enable_args_parsing()
        importlib.import_module("comfy.cli_args")
        # First, as in main.py: ComfyUI's nodes.py puts a folder with another `utils` on sys.path.
        importlib.import_module("utils.extra_config")
    finally:
        sys.argv = arguments
