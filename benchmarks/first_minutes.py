"""The demo's first ten minutes on an empty folder: on a free machine, and beside busy processes.

    python noxfile.py benchmarks first_minutes

Seconds from the command to the first pictures and to the end of each of its phases, environment and
downloads apart. The busy processes are made here: four that compute without a pause, of one thread
each. FREE=0 or BUSY=0 in the environment leaves one of the two runs out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / "demo" / "run.py"
BUSY = 4
_COMPUTE = "while True: sum(range(100_000))"
_PHASE = re.compile(r" *\d+ s  (.+)")
TARGETS = {"free": 5, f"beside {BUSY} busy processes": 12}
"""Minutes, on two cores."""


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for name, minutes in TARGETS.items():
        if os.environ.get("FREE" if name == "free" else "BUSY") == "0":
            continue
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
        print(f"{name}, {cores} cores, load before {load:.1f}:", flush=True)
        with busy(0 if name == "free" else BUSY), tempfile.TemporaryDirectory() as folder:
            seconds, worked = run(Path(folder))
        print(f"  {seconds / 60:.1f} minutes (target <= {minutes} on two cores); "
              f"{worked:.0f} processor seconds", flush=True)  # fmt: skip
    return 0


@contextmanager
def busy(count: int) -> Iterator[None]:
    """As many processes that take all they can get, until the block ends."""
    processes = [subprocess.Popen([sys.executable, "-c", _COMPUTE]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run(folder: Path) -> tuple[float, float]:
    """One run of the demo; prints when each phase was told of. Returns its seconds, and those that
    processors worked on it, which other programs disturb least."""
    began, worked = time.monotonic(), _processor_seconds()
    command = [sys.executable, str(DEMO), "--output", str(folder / "output")]
    log = folder / "log"
    with log.open("wb") as errors:
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        for line in demo.stdout:
            if found := _PHASE.match(line):
                told = found[1].replace(str(folder), "...")
                print(f"  {time.monotonic() - began:5.0f} s  {told}", flush=True)
    if demo.wait():
        raise RuntimeError(log.read_text(errors="replace")[-3000:])
    return time.monotonic() - began, _processor_seconds() - worked


def _processor_seconds() -> float:
    """Of all processes started here that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


if __name__ == "__main__":
    sys.exit(main())
