"""Several processes that train as one: a card each; where there is one card only, two processes on
it, which NCCL takes for those of two machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from ...host.pack import ROOT
from ...tests import checkpoints
from ...training.run.output.log import read_log
from . import trained

TRAIN = str(ROOT / "training" / "train.py")
STEPS, KILLED_AFTER, MOST = 12, 3, 4
PATIENCE, SAID = 240.0, 1500
"""Seconds that a run may take, and characters at the end of what it said that tell why it failed.
"""


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """One process, several, and several of which one is killed: the tokens of the first.

    small: two processes on a CPU, which gloo joins.
    """
    cards = 0 if small else torch.cuda.device_count()
    counts = [min(cards, MOST)] if cards > 1 else [1, 1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = checkpoints.write_sd3(folder / "sd3.safetensors")
        common = [*trained.flags(folder, checkpoint, 32, 8), "--batch-size=4", f"--steps={STEPS}"]
        common += ["--resume", *(["--cpu"] if small else [])]
        for run, agents, kill in (
            ("one process", [1], False),
            ("several", counts, False),
            ("one of several killed", counts, True),
        ):
            yield f"training, {run}", _run(folder / run, agents, common, cards, kill)
        for run in ("several", "one of several killed"):
            yield (
                f"tokens, {run} against one process",
                trained.apart(folder / "one process", folder / run),
            )


def _run(folder: Path, agents: list[int], common: list[str], cards: int, kill: bool) -> str:
    """What a run of these agents of torchrun says of itself, each with so many processes."""
    folder.mkdir()
    line = [TRAIN, *common, f"--output={folder / 'adapter.safetensors'}"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    began = time.monotonic()
    for index, count in enumerate(agents):
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}"]
        command += [f"--nnodes={len(agents)}", "--max-restarts=2", "--rdzv-backend=c10d"]
        command += [f"--rdzv-endpoint=localhost:{port}", f"--rdzv-conf=is_host={not index}"]
        with open(folder / f"{index}.txt", "w", encoding="utf-8") as told:
            started.append(
                subprocess.Popen(
                    [*command, *line],
                    env=_environment(index if len(agents) > cards > 0 else None),
                    stdout=told,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        if kill and not _kill_a_worker(folder, started[-1]):
            return "FAILED: it ended before a process was killed"
        with suppress(subprocess.TimeoutExpired):
            [each.wait(PATIENCE) for each in started]
        codes = [each.poll() for each in started]
    finally:
        for each in started:
            _end(each)
    files = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.txt"))]
    if any(code != 0 for code in codes):
        return f"FAILED with {codes}: {' ... '.join(each[-SAID:] for each in files)}"
    told = "".join(files)
    joined = sorted({each for each in told.splitlines() if each.startswith("NCCL version")})
    steps = len(read_log(folder / "adapter.log.jsonl"))
    return ", ".join([f"{steps} steps in {time.monotonic() - began:.0f} s", *joined])


def _environment(machine: int | None) -> dict[str, str]:
    """machine: its number, where processes that share a card are to count as on several."""
    found = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "NCCL_DEBUG": "VERSION"}
    if machine is not None:
        # NCCL refuses a card that it has met on the same machine.
        found |= {"NCCL_HOSTID": f"machine-{machine}", "NCCL_SOCKET_IFNAME": "lo"}
    return found


def _kill_a_worker(folder: Path, agent: subprocess.Popen) -> bool:
    """Kills the last process of this agent, once some steps are logged; whether it came to that."""
    log, until = folder / "adapter.log.jsonl", time.monotonic() + PATIENCE
    while not log.is_file() or len(read_log(log)) < KILLED_AFTER:
        if agent.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.02)
    workers = [each for each in psutil.Process(agent.pid).children() if TRAIN in each.cmdline()]
    workers[-1].kill()
    return True


def _end(agent: subprocess.Popen) -> None:
    """Whatever is left of it."""
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(agent.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                each.kill()
    if agent.poll() is None:
        agent.kill()
    agent.wait()
