"""Imports the pack outside ComfyUI, under a fixed name and without touching `sys.path`."""

from __future__ import annotations

import importlib.util
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
