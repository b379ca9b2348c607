"""Imports the pack, and ComfyUI as a library, outside a running ComfyUI.

A script loads this file by path, for the repository is never on `sys.path`:

    runpy.run_path(ROOT / "host" / "pack.py")["start"]()
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

NAME = "comfyui_softrepa"
ROOT = Path(__file__).resolve().parent.parent
_MOST_THREADS = 4
"""The models here are small: more threads wait for each other longer than they compute."""

# Threads that spin while they wait take the cores from those that work: a caption took five times
# as long beside other programs. OpenMP reads this as torch loads it; child processes inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def start(comfyui: bool = True) -> str:
    """Makes the pack importable, and ComfyUI unless told not to; returns the pack's name."""
    _leave_path()
    if comfyui:
        import_comfyui()
    import_pack()
    return NAME


def use_few_threads() -> None:
    """As many threads as there are cores for this process, and no more than small models can use.

    To be called before torch is imported; child processes inherit it. OMP_NUM_THREADS wins.
    """
    available = getattr(os, "sched_getaffinity", None)
    cores = len(available(0)) if available else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(min(_MOST_THREADS, cores)))


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
    """Makes the ComfyUI that COMFYUI_PATH names importable, where none is yet; on the CPU, or as
    `flags` has it.

    Raises RuntimeError where COMFYUI_PATH is unset or names no ComfyUI.
    """
    if "comfy.cli_args" in sys.modules:
        return
    folder = Path(os.environ.get("COMFYUI_PATH", ""))
    if not os.environ.get("COMFYUI_PATH") or not (folder / "comfy" / "cli_args.py").is_file():
        raise RuntimeError("COMFYUI_PATH must name a folder with ComfyUI in it.")
    _leave_path()
    sys.path.insert(0, str(folder))
    # ComfyUI reads its arguments from sys.argv at import; this program's are not for it.
    arguments, sys.argv = sys.argv, ["main.py", *flags()]
    try:
        importlib.import_module("comfy.options").enable_args_parsing()
        importlib.import_module("comfy.cli_args")
        # First, as in main.py: ComfyUI's nodes.py puts a folder with another `utils` on sys.path.
        importlib.import_module("utils.extra_config")
    finally:
        sys.argv = arguments


def flags() -> list[str]:
    """What the ComfyUI of tests, benchmarks and demo is started with: `--cpu`, as its models are
    small and its bits compared, or what COMFYUI_FLAGS says, such as nothing on a GPU."""
    return os.environ.get("COMFYUI_FLAGS", "--cpu").split()


def _leave_path() -> None:
    """Takes the repository and its folders off `sys.path`, where its `nodes` would shadow
    ComfyUI's."""
    folders = {ROOT, *(path for path in ROOT.iterdir() if path.is_dir())}
    for deeper in ("benchmarks", "demo", "demo/models"):
        folders |= {path for path in (ROOT / deeper).iterdir() if path.is_dir()}
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() not in folders]
