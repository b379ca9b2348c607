"""Makes the Flux base again, and what is told of it: ``python demo/models/flux_base COMMAND``.

`flux` trains it (`--state FOLDER` to stop and go on) and writes its weights beside this file;
`guidance` prints the table of README.md here, `gain` trains adapters on it, keeps what they do in
results.jsonl and branches.jsonl and prints the tables of demo/RESULTS.md. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    if arguments[:1] not in (["flux"], ["guidance"], ["gain"]):
        print(__doc__, file=sys.stderr)
        return 2
    base = f"{runpy.run_path(str(PACK))['start']()}.demo.models.flux_base"
    command, *rest = arguments
    if command == "flux":
        importlib.import_module(f"{base}.train").main(rest)
    elif command == "guidance":
        flux = importlib.import_module(f"{base}.short").Flux
        name = base.replace("models.flux_base", "sweep.guidance")
        print(importlib.import_module(name).table(flux.load()))
    else:
        gain = importlib.import_module(f"{base}.gain")
        gain.run()
        gain.run_branches()
        print(gain.table(), gain.branches_table(), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
