"""Two gloo processes give the adapter that one gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.training.log import read_log

TRAIN = Path(__file__).resolve().parents[2] / "training" / "train.py"


@pytest.mark.parametrize("objective", ["softrepa", "agsm"])
def test_two_processes_equal_one(flags, train, tmp_path, objective: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    # To a model of random weights all captions are nearly alike: the contrastive gradient alone is
    # the difference of near-equal numbers, whose rounding Adam would blow up to full steps.
    more = ("--own-weight=1", "--steps=4", "--no-tensorboard", "--micro-batch=2")
    more = (f"--objective={objective}", *more)
    assert train(one, *more) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = []
    for rank in range(2):
        environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, str(TRAIN), *flags(two, *more), "--cpu"]
        processes.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    adapters = [files.read(folder / "adapter.safetensors") for folder in (one, two)]
    for name in ("tokens", "offsets"):
        found, expected = (getattr(adapter, name) for adapter in (adapters[1], adapters[0]))
        assert relative_error(found, expected) < 1e-5
    for first, second in zip(*(read_log(p / "adapter.log.jsonl") for p in (one, two)), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
        assert second["accuracy"] == first["accuracy"]
