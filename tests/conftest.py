"""Loads ComfyUI as a library (COMFYUI_PATH, CPU) and the pack under the name comfyui_softrepa."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _import_host() -> None:
    """ComfyUI reads its arguments from sys.argv at import; pytest's are not for it."""
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        raise SystemExit("COMFYUI_PATH is not set: run the tests with `python noxfile.py tests`.")
    sys.path.insert(0, path)
    arguments, sys.argv = sys.argv, ["main.py", "--cpu"]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args
    finally:
        sys.argv = arguments


def _import_pack() -> None:
    # host/ is loaded by path: the repository is never on sys.path, where its `nodes` would
    # shadow ComfyUI's.
    spec = importlib.util.spec_from_file_location("softrepa_host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_pack()


sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
_import_host()
_import_pack()
