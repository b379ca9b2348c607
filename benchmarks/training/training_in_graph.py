"""Training in the graph against the same training by the command: time, tokens, memory.

    python noxfile.py benchmarks training_in_graph

On the demo world, command and Train SoftREPA Adapter in a real server take turns at equal settings:
400 steps, from the first one's end to the last one's, in seconds and in seconds of the processors,
which other programs disturb least. Then the node runs twenty times in that server, whose memory
must not grow, and what the bare model paints must be the same as before. STEPS, REPEATS and RUNS in
the environment change how much is done.
"""

from __future__ import annotations

import argparse
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from comfyui_softrepa.host.server import Server

ROOT = Path(__file__).resolve().parents[2]
STEPS, REPEATS, RUNS = (
    int(os.environ.get(name, usual))
    for name, usual in (("STEPS", 400), ("REPEATS", 3), ("RUNS", 20))
)
PAIRS, BATCH, TARGET = 64, 4, 1.05
FOLDER, CHECKPOINT = "shapes", "demo.safetensors"


@dataclass
class Taken:
    """Of the steps from the second on: seconds, and seconds of processors."""

    wall: float
    worked: float


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
    from comfyui_softrepa.host.server import serve

    with tempfile.TemporaryDirectory() as folder:
        base = prepared(Path(folder))
        with serve(Path(os.environ["COMFYUI_PATH"]), base) as server:
            pid = server.process.pid
            server.run(graph("warm", steps=1))  # encodes pictures and captions, for both
            ratios = compare(base, server)
            grown = memory(server, psutil.Process(pid))
    return int(statistics.median(ratios) > TARGET or grown)


def compare(base: Path, server: Server) -> list[float]:
    load = os.getloadavg()[0]
    print(f"{STEPS} steps of {BATCH}, {PAIRS} pairs, recipe recommended; load {load:.1f}")
    print("| | command | node | node / command | processor: command | node | node / command |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for number in range(REPEATS):
        if number % 2:  # each is first in turn: the load changes
            theirs = by_command(base, f"command_{number}")
        ours = by_node(base, server, f"node_{number}")
        if number % 2 == 0:
            theirs = by_command(base, f"command_{number}")
        wall, worked = ours.wall / theirs.wall, ours.worked / theirs.worked
        found.append((wall, worked))
        shown = f"{theirs.wall:.1f} s | {ours.wall:.1f} s | {wall:.3f}"
        shown += f" | {theirs.worked:.1f} s | {ours.worked:.1f} s | {worked:.3f}"
        print(f"| {number + 1} | {shown} |", flush=True)
    walls, worked = zip(*found, strict=True)
    print(f"median {statistics.median(walls):.3f} ({min(walls):.3f} to {max(walls):.3f}), of "
          f"processor seconds {statistics.median(worked):.3f} ({min(worked):.3f} to "
          f"{max(worked):.3f}); target <= {TARGET}", flush=True)  # fmt: skip
    equal = {tokens(adapters(base) / f"{one}_0.safetensors") for one in ("node", "command")}
    print(f"tokens: {'equal' if len(equal) == 1 else 'OTHER'} bytes", flush=True)
    return list(worked)


def by_node(base: Path, server: Server, name: str) -> Taken:
    with timed(base, name, lambda: psutil.Process(server.process.pid)) as taken:
        server.run(graph(name), timeout=3600.0)
    return taken


def by_command(base: Path, name: str) -> Taken:
    (cache,) = adapters(base).glob(".cache-*")
    settings = {
        "checkpoint": base / "models" / "checkpoints" / CHECKPOINT,
        "data": base / "input" / FOLDER,
        "output": adapters(base) / f"{name}.safetensors",
        "cache": cache,
        "recipe": "recommended",
        "steps": STEPS,
        "batch-size": BATCH,
        "resolution": 64,
        "val-fraction": 0.1,
    }
    flags = [f"--{flag}={value}" for flag, value in settings.items()]
    command = [sys.executable, str(ROOT / "training" / "train.py"), *flags, "--resume", "--cpu"]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with timed(base, name, lambda: process) as taken:
        told = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(told.decode(errors="replace")[-2000:])
    return taken


@contextmanager
def timed(base: Path, name: str, process: Callable[[], psutil.Process]) -> Iterator[Taken]:
    """Watches the run's log meanwhile, and looks at both clocks at its first and last line."""
    log, taken = adapters(base) / f"{name}.log.jsonl", Taken(0.0, 0.0)
    clocks: list[tuple[float, float]] = []

    def watch() -> None:
        while len(clocks) < 2:
            wanted = 1 if not clocks else STEPS
            if log.is_file() and log.read_bytes().count(b"\n") >= wanted:
                spent = process().cpu_times()
                clocks.append((time.monotonic(), spent.user + spent.system))
            time.sleep(0.05)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    yield taken
    watching.join(10.0)
    (began, before), (ended, after) = clocks
    taken.wall, taken.worked = ended - began, after - before


def memory(server: Server, process: psutil.Process) -> bool:
    """Whether the server's memory grows from the second half of the runs' begin to their end."""
    before = painted(server, "before")
    sizes = []
    for number in range(RUNS):
        server.run(graph(f"run_{number}", steps=2))
        sizes.append(process.memory_info().rss / 1e6)
    print(f"MB after each of {RUNS} runs: {', '.join(f'{size:.0f}' for size in sizes)}")
    same = painted(server, "after") == before
    print(f"what the bare model paints: {'the same' if same else 'OTHER'} bits", flush=True)
    return not same or sizes[-1] > sizes[RUNS // 2] * 1.02


def painted(server: Server, prefix: str) -> bytes:
    from comfyui_softrepa.tests.graphs import text_to_image

    graph = text_to_image(CHECKPOINT, prefix=prefix)
    graph[prefix] = graph.pop("sampler")  # by a name of its own: not from the cache of results
    graph["decode"]["inputs"]["samples"] = [prefix, 0]
    shown = server.run(graph).images["save"][0]
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(server.image(shown))).tobytes()


def graph(name: str, **given: Any) -> dict[str, Any]:
    """Trains only."""
    from comfyui_softrepa.tests.graphs import training

    usual = {"folder": FOLDER, "recipe": "recommended", "steps": STEPS, "batch_size": BATCH}
    usual |= {"resolution": 64, "validation": 0.1}
    whole = training(name, CHECKPOINT, **{**usual, **given})
    return {key: whole[key] for key in ("checkpoint", "train")}


def prepared(base: Path) -> Path:
    """A base directory with the pack, the demo world's checkpoint and pictures."""
    from comfyui_softrepa.demo import world
    from comfyui_softrepa.demo.models.base.join import make_checkpoint
    from comfyui_softrepa.host.server import install_pack

    make_checkpoint(base / "models" / "checkpoints" / CHECKPOINT)
    adapters(base).mkdir()
    world.write_folder(base / "input" / FOLDER, PAIRS, seed=5)
    install_pack(base)
    return base


def adapters(base: Path) -> Path:
    return base / "models" / "softrepa"


def tokens(path: Path) -> bytes:
    from safetensors.torch import load_file

    return b"".join(tensor.numpy().tobytes() for _, tensor in sorted(load_file(path).items()))


if __name__ == "__main__":
    sys.exit(main())
