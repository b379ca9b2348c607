"""Makes the second base model again: ``python demo/flux_base flux``. Needs COMFYUI_PATH."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    if arguments[:1] != ["flux"]:
        print(__doc__, file=sys.stderr)
        return 2
    name = runpy.run_path(str(PACK))["start"](comfyui=False)
    importlib.import_module(f"{name}.demo.flux_base.train").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
