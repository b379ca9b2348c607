"""Tokens trained by preference: ``python demo/rivals/preference``.

Paints and compares pictures of the base, trains, measures what results.jsonl beside this lacks, and
puts the table into demo/RIVALS.md. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3] / "host" / "pack.py"

if __name__ == "__main__":
    rivals = f"{runpy.run_path(str(PACK))['start']()}.demo.rivals"
    results = importlib.import_module(f"{rivals}.preference.results")
    importlib.import_module(f"{rivals}.page.sections").main(results, sys.argv[1:], __doc__)
