"""Makes the small CLIP again: `python demo/models/small_clip [--steps N] [--output FOLDER]`.

Needs COMFYUI_PATH. One thread is enough: OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[3] / "host" / "pack.py"

if __name__ == "__main__":
    package = f"{runpy.run_path(str(PACK))['start']()}.demo.models.small_clip"
    importlib.import_module(f"{package}.train").main(sys.argv[1:])
