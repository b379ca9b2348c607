"""Two nodes of two processes by torchrun, each with a cache of its own; one dies and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.command import TRAIN
from comfyui_softrepa.training.cache import shards
from comfyui_softrepa.training.run import command
from comfyui_softrepa.training.run.output.log import read_log

STEPS = 24


def node(host: bool, port: int, arguments: list[str]) -> subprocess.Popen:
    """One machine's torchrun, in a process group of its own."""
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test"),
        f"--rdzv-conf=is_host={int(host)},keep_alive_interval=1,keep_alive_max_attempt=3",
        *("--local-addr=127.0.0.1", "--max-restarts=3", str(TRAIN), *arguments),
    ]
    return subprocess.Popen(torchrun, start_new_session=True)


def test_a_killed_node_comes_back_and_the_run_goes_on(flags, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = ["--cpu", "--resume", f"--steps={STEPS}", "--batch-size=4", "--save-every=1"]
    common += ["--no-tensorboard", "--val-fraction=0"]
    caches = [tmp_path / "cache a", tmp_path / "cache b"]
    given = [flags(tmp_path, *common, f"--cache={cache}") for cache in caches]
    log = tmp_path / "adapter.log.jsonl"
    nodes = [node(host, port, each) for host, each in zip((True, False), given, strict=True)]
    try:
        while not log.is_file() or len(read_log(log)) < 2:
            assert [each.poll() for each in nodes] == [None, None]
            time.sleep(0.05)
        os.killpg(nodes[1].pid, signal.SIGKILL)
        nodes[1].wait()
        assert len(read_log(log)) < STEPS
        nodes.append(node(False, port, given[1]))
        assert [nodes[0].wait(1800), nodes[2].wait(1800)] == [0, 0]
    finally:
        for each in nodes:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
    assert [entry["step"] for entry in read_log(log)] == list(range(1, STEPS + 1))
    names = [[path.name for path in shards.paths(cache)] for cache in caches]
    assert len(names[0]) == len(names[1]) == 4  # two processes each, pictures and texts
    whole = tmp_path / "whole"
    whole.mkdir()
    assert command.main(flags(whole, *common, f"--cache={caches[0]}")) == 0
    found, expected = (files.read(p / "adapter.safetensors") for p in (tmp_path, whole))
    assert found.metadata["softrepa.steps"] == expected.metadata["softrepa.steps"]
    assert found.tokens.shape == expected.tokens.shape
