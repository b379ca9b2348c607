"""Writes example_workflows/ and the pictures of the help pages: ``python demo/workflows``.

Without a word after it, it lays out the workflows (.json). `thumbnails --adapter FILE` paints
their pictures (.jpg) in a real ComfyUI (`--unet-adapter FILE` for Attend-and-Excite's), and
`help_pictures --adapter FILE` photographs the nodes for web/docs; both need Chromium.
All need the development environment and COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    name = runpy.run_path(str(PACK))["start"]()
    folder = f"{name}.demo.workflows"
    if not arguments:
        for path in importlib.import_module(f"{folder}.files").write():
            print(path.name)
        return 0
    if arguments[0] not in ("thumbnails", "help_pictures"):
        print(__doc__, file=sys.stderr)
        return 2
    importlib.import_module(f"{folder}.pictures.{arguments[0]}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
