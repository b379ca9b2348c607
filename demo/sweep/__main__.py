"""Every setting of the trainer that matters, on held-out prompts: ``python demo/sweep [COMMAND]``.

Trains and paints by the short forward, appends each finding to a file of JSON lines, and leaves out
what stands there already. `settings`, or nothing, changes one thing at a time, on prompts for
choosing; `economy` seeks what a pair evaluation brings, and has the best confirmed on prompts that
chose nothing; `train-weight` asks whether tokens that count twice in training do better, on both
bases; `branches` how strong an adapter is to be on the prompt, and how strong on the empty one. The
tables, and the plot of `economy`, go into demo/RESULTS.md. `guidance` prints the table of
demo/models/base/README.md. ``--minutes 6`` begins no training after so long. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"
COMMANDS = ("settings", "economy", "train-weight", "branches", "guidance")


def main(arguments: list[str]) -> int:
    """Run; 2 for a wrong command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS, nargs="?", default="settings")
    parser.add_argument("--base", choices=("sd3", "unet"), help="of train-weight: one base only")
    parser.add_argument(
        "--part", choices=("choosing", "confirming"), help="of economy and branches: one part only"
    )
    parser.add_argument("--minutes", type=float, help="begin no training after so many")
    parser.add_argument("--table", action="store_true", help="train nothing, only write the table")
    options = parser.parse_args(arguments)
    package = f"{runpy.run_path(str(PACK))['start']()}.demo.sweep"
    module = importlib.import_module(f"{package}.{MODULES[options.command]}")
    minutes = 0.0 if options.table else options.minutes
    if options.command == "guidance":
        print(module.table())
        return 0
    if options.command == "train-weight":
        module.run((options.base,) if options.base else tuple(module.BASES), minutes)
    elif options.command in ("economy", "branches"):
        module.run(*([(options.part,)] if options.part else []), minutes=minutes)
    else:
        module.run(minutes=minutes)
    print(module.show())
    return 0


MODULES = {
    "settings": "grid",
    "economy": "economy",
    "train-weight": "train_weight",
    "branches": "branches",
    "guidance": "guidance",
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
