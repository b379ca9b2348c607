"""Writes example_workflows/ and the pictures of the help pages: ``python demo/workflows``.

Without a word after it, it lays out the workflows (.json). `thumbnails --adapter FILE` paints
their pictures (.jpg) in a real ComfyUI, and `help_pictures --adapter FILE` photographs the nodes
for web/docs; both need Chromium. All need the development environment and COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _import_pack() -> str:
    """The pack's name, importable; as everywhere, by path and never through sys.path."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    spec = importlib.util.spec_from_file_location("pack", HERE.parents[1] / "host" / "pack.py")
    if spec is None or spec.loader is None:
        raise ImportError("host/pack.py is missing")
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    pack.import_comfyui()
    pack.import_pack()
    return str(pack.NAME)


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    folder = f"{_import_pack()}.demo.workflows"
    if not arguments:
        for path in importlib.import_module(f"{folder}.files").write():
            print(path.name)
        return 0
    if arguments[0] not in ("thumbnails", "help_pictures"):
        print(__doc__, file=sys.stderr)
        return 2
    importlib.import_module(f"{folder}.{arguments[0]}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
