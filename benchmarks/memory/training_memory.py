"""Peak memory of a training step over the batch size, at one micro-batch.

    COMFYUI_PATH=... python benchmarks/memory/training_memory.py [--cpu]

Every batch size is measured in a process of its own, over two of the step's rows: rows are done one
after another, so that two show what all would take. What is counted is all that a step needs above
the loaded model, the batch's own latents and encoded captions included.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"
TARGET = 1.2
SIZES = (4, 16)
MICRO_BATCH = 4
DEPTH, SIDE = 6, 32
"""Of the MMDiT and the latents: activations outweigh the encoded captions, as in real models."""


def main() -> int:
    benchmarks = f"{runpy.run_path(str(PACK))['start'](comfyui=False)}.benchmarks"
    step = importlib.import_module(f"{benchmarks}.training.training_step")
    parser = step.arguments(__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, help="only print the bytes at this batch size")
    options = parser.parse_args()
    if options.size:
        step.start(options)
        print(*peak(step, options, options.size))
        return 0
    peaks = {size: elsewhere(size) for size in SIZES}
    for size, (whole, batch) in peaks.items():
        print(f"B {size}: {whole / 1e6:.0f} MB, of them {batch / 1e6:.0f} MB the batch itself")
    ratio = peaks[SIZES[1]][0] / peaks[SIZES[0]][0]
    print(f"ratio {ratio:.3f} at micro-batch {MICRO_BATCH} (target <= {TARGET})")
    return 0


def peak(step: Any, options: argparse.Namespace, size: int) -> tuple[int, int]:
    """(bytes above the loaded model, those of the batch itself)."""
    import torch

    made = step.denoiser(DEPTH)
    task, live = step.problem(made, DEPTH, SIDE, size, 1)
    engine = step.engine_of(made, "softrepa", MICRO_BATCH)
    batch = held_by(task)
    if made.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        engine.accumulate(task, live, None, range(2))
        return torch.cuda.max_memory_allocated() - before + batch, batch
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts anew
    engine.accumulate(task, live, None, range(2))
    return resident("VmHWM") - before + batch, batch


def resident(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))


def held_by(task: Any) -> int:
    """Noised latents, targets, encoded captions."""
    tensors = [task.noisy.x, task.noisy.target]
    tensors += [tensor for entry in task.conditions.entries for tensor in entry.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def elsewhere(size: int) -> tuple[int, int]:
    """`peak` in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], f"--size={size}"]
    # glibc keeps freed blocks below a threshold that it raises as it goes, which would count as
    # use and grow with the kinds of blocks, not with B; so they go back at once.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    whole, batch = found.stdout.split()[-2:]
    return int(whole), int(batch)


if __name__ == "__main__":
    sys.exit(main())
