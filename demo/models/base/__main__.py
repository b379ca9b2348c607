"""Makes the base model again: ``python demo/models/base vae``, ``mmdit``, ``checkpoint FILE``.

`vae` and `mmdit` train from their seeds and write their weights beside this file; `mmdit`
needs COMFYUI_PATH. `checkpoint` joins them into a file that ComfyUI loads.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    if not arguments or arguments[0] not in ("vae", "mmdit", "checkpoint"):
        print(__doc__, file=sys.stderr)
        return 2
    name = runpy.run_path(str(PACK))["start"](comfyui=False)
    base = f"{name}.demo.models.base"
    command, *rest = arguments
    if command == "checkpoint":
        if len(rest) != 1:
            print(__doc__, file=sys.stderr)
            return 2
        print(importlib.import_module(f"{base}.join").make_checkpoint(Path(rest[0])))
        return 0
    importlib.import_module(f"{base}.{'vae' if command == 'vae' else 'train'}").main(rest)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
