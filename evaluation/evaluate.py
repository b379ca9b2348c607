#!/usr/bin/env python3
"""Shows whether an adapter helps: `python evaluation/evaluate.py --help`. Runs from any folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "comfyui_softrepa"


def main() -> int:
    # This folder must not be on the path: its `statistics` would shadow Python's own.
    mine = ROOT / "evaluation"
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != mine]
    spec = importlib.util.spec_from_file_location(
        NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    from comfyui_softrepa.evaluation.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
