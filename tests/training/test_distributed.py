"""Two gloo processes give the adapter that one gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.base import join
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.tests.training.command import TRAIN
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.run import command
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.step import processes as joining


@pytest.fixture(scope="module")
def trained_model(tmp_path_factory) -> list[str]:
    """Flags for a model that tells captions apart, with pictures it knows.

    To a model of random weights all captions are nearly alike: the contrastive gradient is the
    difference of near-equal numbers, whose rounding AdamW would blow up to full steps.
    """
    folder = tmp_path_factory.mktemp("demo")
    world.write_folder(folder / "pictures", 8, seed=3)
    checkpoint = join.make_checkpoint(folder / "demo.safetensors")
    named = {"checkpoint": checkpoint, "data": folder / "pictures", "cache": folder / "cache"}
    return [f"--{name}={value}" for name, value in named.items()]


@pytest.mark.parametrize("objective", ["softrepa", "agsm"])
def test_two_processes_equal_one(trained_model, tmp_path, objective: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    shared = [*trained_model, f"--objective={objective}", "--resolution=64", "--steps=4"]
    shared += ["--batch-size=3", "--micro-batch=2", "--no-tensorboard", "--cpu"]
    assert command.main([*shared, f"--output={one / 'adapter.safetensors'}"]) == 0
    run_two([*shared, f"--output={two / 'adapter.safetensors'}"])
    adapters = [files.read(folder / "adapter.safetensors") for folder in (one, two)]
    for name in ("tokens", "offsets"):
        found, expected = (getattr(adapter, name) for adapter in (adapters[1], adapters[0]))
        error = relative_error(found, expected)
        print(f"{objective} {name}: {error:.1e}")
        assert error < 1e-5
    for first, second in zip(*(read_log(p / "adapter.log.jsonl") for p in (one, two)), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
        assert second["accuracy"] == first["accuracy"]


def run_two(arguments: list[str]) -> None:
    """The command line as torchrun would start it twice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = []
    for rank in range(2):
        environment = {**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, str(TRAIN), *arguments]
        processes.append(subprocess.Popen(command, env=environment))
    try:
        # Far more than it takes, also beside other work: one that fails leaves the other waiting.
        assert [process.wait(timeout=1800) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()


def test_a_process_takes_its_own_gpu_before_comfyui_opens_one(monkeypatch) -> None:
    order = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda rank: order.append(rank))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    def start(*arguments) -> None:
        order.append("comfyui")
        raise BadInput("far enough")

    monkeypatch.setattr(command.comfyui, "start", start)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert command.main(["--checkpoint=c", "--data=d"]) == 2
    assert order == [3, "comfyui"]
    assert command.main(["--checkpoint=c", "--data=d", "--cpu"]) == 2
    monkeypatch.delenv("LOCAL_RANK")
    assert command.main(["--checkpoint=c", "--data=d"]) == 2
    assert order[2:] == ["comfyui", "comfyui"]


def test_more_processes_than_gpus_are_told_how_many_there_can_be(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert command.main(["--checkpoint=c", "--data=d"]) == 2
    said = capsys.readouterr().err
    assert "GPUs (2)" in said and "--nproc-per-node=2" in said


@pytest.mark.parametrize(
    ("cuda", "nccl", "cpu", "backend"),
    [(1, 1, 0, "nccl"), (1, 0, 0, "gloo"), (0, 1, 0, "gloo"), (1, 1, 1, "gloo")],
)
def test_gloo_where_there_is_no_nccl(cuda, nccl, cpu, backend, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    monkeypatch.setattr(joining.distributed, "is_nccl_available", lambda: bool(nccl))
    monkeypatch.setattr(
        joining.distributed, "init_process_group", lambda name, timeout: asked.append(name)
    )
    monkeypatch.setattr(joining.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(joining.distributed, "get_world_size", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "1")
    monkeypatch.delenv("TORCH_NCCL_DUMP_ON_TIMEOUT")  # gone again after this test
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert joining.join(bool(cpu)) == joining.Processes(1, 2, 0, 1) and asked == [backend]
    assert os.environ["TORCH_NCCL_DUMP_ON_TIMEOUT"] == "0"
