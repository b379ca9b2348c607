"""What `--checkpointing`, and graphs without copies of cast weights, cost in time.

    COMFYUI_PATH=... python benchmarks/memory/recompute.py [--cpu] [--repeats 5]

SoftREPA steps of four images with one negative each, on small models of the real form: with
`--checkpointing` against without, and in autocast with copies kept (as PyTorch does by itself)
against without. Each pair in turns; what is printed is the median of their ratios, and its range,
of processor time on a CPU, else of time.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"


def main() -> int:
    benchmarks = f"{runpy.run_path(str(PACK))['start'](comfyui=False)}.benchmarks"
    training_step = importlib.import_module(f"{benchmarks}.training.training_step")
    gpu = importlib.import_module(f"{benchmarks}.gpu.families")
    parser = training_step.arguments(__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    training_step.start(options)
    import torch

    print("| model | checkpointing / not | no copies / copies, in autocast |")
    print("|---|---|---|")
    for name, family in gpu.FULL.items():
        made = gpu.denoiser(name, True)

        def run(made: Any = made, family: Any = family, **how: Any) -> Callable[[], None]:
            return gpu.step(training_step, made, family, "softrepa", 1, True, **how)

        plain = run(checkpointing=False)
        again = ratios(training_step, made, run(checkpointing=True), plain, options.repeats)
        made.autocast_dtype = torch.bfloat16
        kept = run(checkpointing=False, copies=True)
        cast = ratios(training_step, made, run(checkpointing=False), kept, options.repeats)
        print(f"| {name} | {again} | {cast} |", flush=True)
    return 0


def ratios(
    training_step: Any, made: Any, one: Callable[[], None], other: Callable[[], None], repeats: int
) -> str:
    one(), other()  # warm up
    pairs = [
        (training_step.timed(made, one), training_step.timed(made, other)) for _ in range(repeats)
    ]
    return training_step.spread([first / second for first, second in pairs])


if __name__ == "__main__":
    sys.exit(main())
