"""Makes the base model again: ``python demo/base vae``, ``mmdit``, ``checkpoint FILE``.

`vae` and `mmdit` train from their seeds and write their weights beside this file; `mmdit`
needs COMFYUI_PATH. `checkpoint` joins them into a file that ComfyUI loads.
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
    pack.import_pack()
    return str(pack.NAME)


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    if not arguments or arguments[0] not in ("vae", "mmdit", "checkpoint"):
        print(__doc__, file=sys.stderr)
        return 2
    base = f"{_import_pack()}.demo.base"
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
