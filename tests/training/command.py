"""The trainer's command line in a process of its own, and what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[2] / "training" / "train.py"


@dataclass(frozen=True)
class Taken:
    """code: the exit code. peak: bytes of memory, at most. seconds: of processor time."""

    code: int
    peak: int
    seconds: float


def run(*arguments: str) -> Taken:
    """Runs `train.py` on one thread of the CPU to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(TRAIN), "--cpu", *arguments], env=environment)
    # wait4() tells a peak too, but counts what this process held when it forked.
    peak = 0
    while True:
        peak = max(peak, _peak(process.pid))
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            break
        time.sleep(0.1)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert peak > 0
    return Taken(process.returncode, peak, usage.ru_utime + usage.ru_stime)


def _peak(pid: int) -> int:
    """The high-water mark of resident memory as Linux keeps it; 0 once the process has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
