"""Every setting of the trainer that matters, on held-out prompts: `python demo/sweep [FILE]`.

Trains and paints by the short forward, appends each finding to FILE (JSON lines, default
demo/sweep/results.jsonl), and leaves out what stands there already. `python demo/sweep table`
prints the table of demo/RESULTS.md, `python demo/sweep guidance` that of demo/base/README.md.
`python demo/sweep train-weight` makes what is missing in demo/sweep/train_weight.jsonl, on prompts
that chose nothing, and puts its table into demo/RESULTS.md.
Needs COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"

if __name__ == "__main__":
    arguments = sys.argv[1:]
    package = f"{runpy.run_path(str(PACK))['start']()}.demo.sweep"
    grid = importlib.import_module(f"{package}.grid")
    if arguments == ["guidance"]:
        print(importlib.import_module(f"{package}.guidance").table())
    elif arguments == ["train-weight"]:
        trials = importlib.import_module(f"{package}.train_weight")
        trials.run()
        trials.show()
        print(trials.table())
    elif arguments[:1] == ["table"]:
        print(grid.table(Path(arguments[1]) if arguments[1:] else grid.RESULTS))
    else:
        grid.run(Path(arguments[0]) if arguments else grid.RESULTS)
