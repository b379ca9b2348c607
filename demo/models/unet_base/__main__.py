"""Makes the U-Net base again: ``python demo/models/unet_base vae``, ``unet``, ``guidance``,
``checkpoint FILE``.

`vae` and `unet` train from their seeds and write their weights beside this file; `unet` goes on
from ``--state`` where that file is there. `guidance` prints what the base shows at each scale.
`checkpoint` joins the weights into a file that ComfyUI loads. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACK = HERE.parents[2] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run one command; 2 for a wrong command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("vae", "unet", "guidance", "checkpoint"))
    parser.add_argument("file", type=Path, nargs="?", help="the checkpoint's path")
    parser.add_argument("--vae", type=Path, default=HERE / "vae.safetensors")
    parser.add_argument("--unet", type=Path, default=HERE / "unet.safetensors")
    parser.add_argument("--state", type=Path, default=HERE / "unet.state.pt")
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--true-steps", type=int, default=1800)
    parser.add_argument("--mixed-steps", type=int, default=1400)
    parser.add_argument(
        "--redrawn", type=float, default=0.3, help="chance of each word of a careless caption"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if (options.command == "checkpoint") != (options.file is not None):
        parser.error("checkpoint takes a path, the others none")
    name = runpy.run_path(str(PACK))["start"](comfyui=options.command in ("unet", "guidance"))
    base = f"{name}.demo.models.unet_base"
    vae = importlib.import_module(f"{base}.vae")
    if options.command == "vae":
        vae.save(vae.train(options.seed), options.vae)
    elif options.command == "unet":
        train = importlib.import_module(f"{base}.train")
        train.keep(train.train(options), options.unet)
    elif options.command == "guidance":
        model = importlib.import_module(f"{base}.short").Unet.load(options.unet, options.vae)
        print(importlib.import_module(f"{name}.demo.sweep.guidance").table(model))
    else:
        join = importlib.import_module(f"{base}.join")
        print(join.make_checkpoint(options.file, options.unet, options.vae))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
