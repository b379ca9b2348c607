"""What only a CUDA card can show, as one table with the card's name: `python noxfile.py gpu`.

Parts, each in a process of its own; those named, or all (some minutes on a large card):

    checks         results on the card are a CPU's: predictions, gradients, samplers, edits
    waits          an adapter makes no step of sampling or training wait for the card
    training       training steps of SD1.5, SDXL and SD3 in full size, with random weights
    sampling       sampling steps of full-size models with an adapter, against the bare model
    memory         models that do not fit whole, and memory that runs out in training
    processes      several processes train as one; on one card two that NCCL joins
    step           benchmarks/training/training_step.py and memory/training_memory.py
    newer          benchmarks/memory/memory_by_count.py --measure: the newer models in full size

Full size wants 8 GB with `--checkpointing`, 26 GB without, 45 GB for the newest models. Without a
card it says what is unmeasured. `--try` goes through all of it on a CPU with small models, to show
that the command itself works.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "build" / "gpu.md"
OWN = ("checks", "waits", "training", "sampling", "memory", "processes")
OTHERS = {
    "step": (
        # Large enough that the card is what takes the time, as in earnest.
        ("training/training_step.py", "--depth=16", "--side=64", "--repeats=15"),
        ("memory/training_memory.py",),
    ),
    "newer": (("memory/memory_by_count.py", "--measure"),),
}
"""Benchmarks that run on a CPU as well, with their flags for a card."""
SMALL = {
    "training/training_step.py": ("--cpu", "--repeats=1"),
    "memory/training_memory.py": ("--cpu",),
    "memory/memory_by_count.py": ("--small",),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*OWN, *OTHERS, []])
    parser.add_argument("--try", dest="tried", action="store_true", help="on a CPU, small models")
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument(
        "--models",
        nargs="+",
        default=(),
        metavar="NAME",
        help="only these, of training and sampling (SD1.5 SDXL SD3 Flux.1 Z-Image)",
    )
    parser.add_argument("--one", choices=OWN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    if options.one:
        return _part(options.one, options.tried, options.models)
    parts = options.parts or [*OWN, *OTHERS]
    if not torch.cuda.is_available() and not options.tried:
        print("There is no CUDA card here. Unmeasured:", *parts, sep="\n- ")
        return 0
    card = "a CPU, small models: no measurement" if options.tried else torch.cuda.get_device_name(0)
    lines = [f"| card | {card} |", "|---|---|"]
    lines += [f"| torch | {torch.__version__}, CUDA {torch.version.cuda} |"]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for part in parts:
        for line in _lines(part, options.tried, options.models):
            print(line, flush=True)
            lines.append(line)
            options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if any("FAILED" in line for line in lines) else 0


def _part(name: str, small: bool, models: Sequence[str]) -> int:
    """One of OWN, in this process."""
    package = runpy.run_path(str(ROOT / "host" / "pack.py"))["start"](comfyui=False)
    step = importlib.import_module(f"{package}.benchmarks.training.training_step")
    step.start(SimpleNamespace(cpu=small, threads=2))
    part = importlib.import_module(f"{package}.benchmarks.gpu.{name}")
    for title, value in part.rows(small, models):
        print(f"| {title} | {value} |", flush=True)
    return 0


def _lines(part: str, small: bool, models: Sequence[str]) -> Iterator[str]:
    """The part's lines of the table, as they come."""
    if part in OWN:
        flags = [*(["--try"] if small else []), *(["--models", *models] if models else [])]
        yield from _run(part, [str(ROOT / "benchmarks" / "gpu"), f"--one={part}", *flags])
        return
    for name, *flags in OTHERS[part]:
        chosen = SMALL[name] if small else flags
        for line in _run(name, [str(ROOT / "benchmarks" / name), *chosen]):
            yield line if line.startswith("|") else f"| {name} | {line} |"


def _run(name: str, command: Sequence[str]) -> Iterator[str]:
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.strip():
                yield line.rstrip()
    if process.returncode:
        yield f"| {name} | FAILED with {process.returncode}: what it said is above |"


if __name__ == "__main__":
    sys.exit(main())
