#!/usr/bin/env python3
"""Trains a SoftREPA adapter: `python training/train.py --help`. Runs from any folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# On a CPU, threads that spin while they wait take the cores from those that work, of this process
# and of others. OpenMP reads this as torch loads it; a GPU does not mind.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> int:
    # This folder must not be on the path: its modules belong to the package, not to everyone.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "training"]
    spec = importlib.util.spec_from_file_location(
        "comfyui_softrepa", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    from comfyui_softrepa.training.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
