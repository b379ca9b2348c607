"""Editing with and without an adapter: ``python demo/rivals/editing``.

Measures every arm that results.jsonl beside this lacks, adds each as one line, and puts the table
into demo/RIVALS.md. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3] / "host" / "pack.py"

if __name__ == "__main__":
    rivals = f"{runpy.run_path(str(PACK))['start']()}.demo.rivals"
    results = importlib.import_module(f"{rivals}.editing.results")
    importlib.import_module(f"{rivals}.page.sections").main(results, sys.argv[1:], __doc__)
