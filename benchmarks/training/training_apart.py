"""SDXL in the graph, of files apart: UNETLoader, DualCLIPLoader, VAELoader, with and without LoRA.

    python noxfile.py benchmarks training_apart

What `tests/server/test_training.py` holds of a small SD1.5, with SDXL's own width, levels and both
text encoders at random weights: 7 GB on the disk, as much memory. The node's tokens are the
command's, a LoRA and lists of core's dataset nodes are trained with, and what the bare model paints
stays the same bits.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
    from comfyui_softrepa.host.server import install_pack, serve
    from comfyui_softrepa.tests import checkpoints
    from comfyui_softrepa.tests.server.training_apart import check_apart
    from comfyui_softrepa.tests.training.conftest import write_pictures

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "comfyui"
        checkpoint = checkpoints.write_sdxl(Path(folder) / "sdxl.safetensors")
        (base / "models" / "softrepa").mkdir(parents=True)
        pictures = base / "input" / "squares"
        pictures.mkdir(parents=True)
        write_pictures(pictures, ("red", "green", "blue"))
        install_pack(base)
        with serve(Path(os.environ["COMFYUI_PATH"]), base) as server:
            check_apart(server, pictures, "sdxl", checkpoint, resolution=64, say=said(began))
    return 0


def said(began: float) -> Callable[[str], None]:
    return lambda held: print(f"{time.monotonic() - began:5.0f} s  SDXL: {held}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
