"""Overflow, divergence, full memory, full disk: nothing is lost but what came after the state."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.conftest import VALIDATED
from comfyui_softrepa.tests.training.test_kept import contents
from comfyui_softrepa.tests.training.test_run import assert_same
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.run import guard
from comfyui_softrepa.training.run.loop import Loop
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.run.output.state import Progress
from comfyui_softrepa.training.step import memory
from comfyui_softrepa.training.step.engine import Engine

resource = pytest.importorskip("resource")
ROOT = Path(__file__).resolve().parents[2]


def sentence(capsys) -> str:
    """The one sentence on stderr."""
    said = [line for line in capsys.readouterr().err.splitlines() if "train.py: " in line]
    assert len(said) == 1 and said[0].endswith(".")
    return said[0]


def overflows(monkeypatch, *steps: int) -> None:
    """Predictions overflow in these steps, counted from 1, as half precision does at some noise
    levels of some pictures; small models of random weights have none of their own."""
    step, predict = Loop._step, Denoiser.predict
    now = []

    def stepped(loop: Loop):
        now[:] = [loop.progress.step + 1]
        found = step(loop)
        now.clear()
        return found

    def predicted(self, *arguments):
        found = predict(self, *arguments)
        return found * math.inf if now and now[0] in steps else found

    monkeypatch.setattr(Loop, "_step", stepped)
    monkeypatch.setattr(Denoiser, "predict", predicted)


def test_an_overflow_costs_its_step_and_no_more(train, tmp_path, monkeypatch) -> None:
    overflows(monkeypatch, 2, 3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    assert train(whole) == 0
    entries = read_log(whole / "adapter.log.jsonl")
    assert [entry.get("skipped", False) for entry in entries] == [False, True, True] + [False] * 3
    assert entries[1]["loss"] is None and entries[3]["loss"] > 0.0
    told = files.read(whole / "adapter.safetensors").metadata
    assert told["softrepa.skipped_steps"] == "2" and told["softrepa.steps"] == "6"
    # The skipped steps changed nothing: what follows them starts where they did.
    assert entries[1]["token_norm"] == entries[2]["token_norm"] == entries[3]["token_norm"]
    assert train(broken, "--steps=2") == 0
    assert train(broken, "--steps=4", "--resume") == 0
    assert train(broken, "--steps=6", "--resume") == 0
    assert_same(whole, broken)


def test_overflow_without_end_ends_with_the_last_good_step(train, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        overflows(patch, *range(4, 99))
        assert train(tmp_path, "--steps=40") == 1
    said = sentence(capsys)
    assert "10 steps in a row" in said and "holds step 2, the last good one" in said
    assert "--learning-rate" in said and "--precision bf16" in said
    assert files.read(tmp_path / "adapter.safetensors").metadata["softrepa.steps"] == "2"
    (tmp_path / "whole").mkdir()
    assert train(tmp_path, "--resume") == 0 and train(tmp_path / "whole") == 0
    assert_same(tmp_path, tmp_path / "whole")


@pytest.mark.parametrize("rate", ["3", "1e30"])
def test_divergence_never_reaches_the_files(train, tmp_path, capsys, rate: str) -> None:
    assert train(tmp_path, "--steps=3", "--save-every=1") == 0
    before = contents(tmp_path)
    more = ("--resume", f"--learning-rate={rate}", "--steps=40", "--save-every=1")
    assert train(tmp_path, *more) == 1
    assert "holds step 3, the last good one; go on with --resume and" in sentence(capsys)
    # The update of step 4 broke the tokens, which the forward pass of step 5 was the first to see.
    assert len(read_log(tmp_path / "adapter.log.jsonl")) == 4
    for name in ("adapter.safetensors", "adapter.state"):
        assert contents(tmp_path)[name] == before[name]
    assert train(tmp_path, "--resume", "--steps=4", "--learning-rate=0.0001") == 0


def test_divergence_at_the_very_end_or_start(train, tmp_path, capsys) -> None:
    assert train(tmp_path, "--learning-rate=3", "--steps=1", "--val-fraction=0") == 1
    assert "start anew with a lower --learning-rate" in sentence(capsys)
    assert not list(tmp_path.glob("*.safetensors")) and not (tmp_path / "adapter.state").exists()
    assert train(tmp_path, "--steps=1") == 0


def test_bounds_that_ordinary_runs_never_meet() -> None:
    usual = Progress(step=30, greatest_loss=2.0, greatest_gradient=3.0, greatest_tokens=1.4,
                     first_tokens=1.3)  # fmt: skip
    fine = guard.Measured(loss=2.4, accuracy=1.0, gradient=8.0, tokens=1.41)
    assert not guard.fault_of_step(fine, usual) and not guard.fault_of_tokens(fine, usual)
    for loss, gradient in ((21.0, 1.0), (math.nan, 1.0), (2.0, math.inf), (2.0, 2000.0)):
        assert guard.fault_of_step(guard.Measured(loss, 1.0, gradient, 1.4), usual)
    # A fixed temperature gives gradients of 1e-6 and of 3 in one run.
    quiet = Progress(step=30, greatest_loss=2.0, greatest_gradient=1e-6, greatest_tokens=1.4)
    assert not guard.fault_of_step(guard.Measured(2.0, 1.0, 3.7, 1.4), quiet)
    grown = Progress(step=9000, greatest_tokens=1290.0, first_tokens=1.3)
    for norm in (math.nan, math.inf, 1301.0):
        assert guard.fault_of_tokens(guard.Measured(2.0, 1.0, 1.0, norm), grown)
    assert guard.fault_of_tokens(guard.Measured(2.0, 1.0, 1.0, 6.0), usual)


def failing(monkeypatch, error: Exception, above: int) -> list[int]:
    """Memory runs out in the middle of every micro-batch of more predictions than this."""
    predict, refused = Engine._predict, []

    def predicted(self, task, pairs, application, *more):
        if len(pairs) > above:
            refused.append(len(pairs))
            raise error
        return predict(self, task, pairs, application, *more)

    monkeypatch.setattr(Engine, "_predict", predicted)
    return refused


SAID = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: "
                 "you tried to allocate 68719476736 bytes. Error code 12"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: not enough memory: you"),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.10 GB, max allowed: 18.13 GB)."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]  # fmt: skip


@pytest.mark.parametrize("error", SAID, ids=lambda error: str(error)[:12])
def test_every_allocators_words_are_known(error: Exception) -> None:
    assert memory.ran_out(error)


def test_other_faults_are_not_taken_for_memory(train, tmp_path, monkeypatch) -> None:
    assert not memory.ran_out(ValueError("out of memory"))
    failing(monkeypatch, RuntimeError("The size of tensor a must match"), above=0)
    with pytest.raises(RuntimeError, match="size of tensor"):
        train(tmp_path)


def test_memory_that_runs_out_halves_the_micro_batch(train, tmp_path, monkeypatch, capsys) -> None:
    halved, told = tmp_path / "halved", tmp_path / "told"
    halved.mkdir(), told.mkdir()
    assert train(told, VALIDATED, "--micro-batch=1", "--steps=3") == 0
    with monkeypatch.context() as patch:
        refused = failing(patch, SAID[2], above=1)
        assert train(halved, VALIDATED, "--steps=3") == 0
    assert refused == [2]  # one try, in the validation before the first step; then 1
    said = capsys.readouterr()
    assert "going on with --micro-batch 1" in said.out + said.err
    assert_same(halved, told)


@pytest.mark.parametrize(
    ("more", "helps"),
    [
        (
            ("--micro-batch=4",),
            "--micro-batch 2 (half the activations) or --checkpointing (a third",
        ),
        (("--micro-batch=1",), "--checkpointing (a third of the activations or less)"),
        (("--checkpointing",), "close other programs"),
    ],
)
def test_memory_that_cannot_suffice(train, tmp_path, monkeypatch, capsys, more, helps) -> None:
    assert train(tmp_path, "--steps=2", *more) == 0
    with monkeypatch.context() as patch:
        failing(patch, SAID[0], above=0)
        assert train(tmp_path, "--resume", *more) == 1
    said = sentence(capsys)
    assert "at step 3" in said and "step 2 is saved" in said and helps in said
    assert train(tmp_path, "--resume", *more) == 0


def test_what_less_resolution_takes() -> None:
    unet = memory.Remedies(auto=True, checkpointing=True, resolution=1024)
    assert unet.advice(1, 0) == "start again with --resolution 768 (56% of the activations)"
    assert "start anew with --resolution 768 (56% of the activations)" in unet.advice(2, 50)


LIMITED = """
import importlib.util, resource, sys
root, arguments = sys.argv[1], sys.argv[2:]
spec = importlib.util.spec_from_file_location(
    "comfyui_softrepa", root + "/__init__.py", submodule_search_locations=[root])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
spec.loader.exec_module(package)
import torch
from comfyui_softrepa.training.run import command
made = torch.optim.AdamW.__init__
def limited(self, *rest, **named):  # the model is loaded, the first step to come
    made(self, *rest, **named)
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (50 << 20), resource.RLIM_INFINITY))
torch.optim.AdamW.__init__ = limited
sys.exit(command.main(arguments))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts its memory in /proc")
def test_memory_that_really_runs_out(train, tmp_path, flags) -> None:
    """64 predictions at 256 pixels, in 50 MB."""
    more = ("--resolution=256", "--batch-size=8", "--val-fraction=0", "--no-tensorboard", "--cpu")
    assert train(tmp_path, *more, "--steps=1") == 0
    before = contents(tmp_path)
    command = [sys.executable, "-c", LIMITED, str(ROOT), *flags(tmp_path, *more, "--steps=2")]
    command += ["--micro-batch=64", "--resume"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.returncode == 1, found.stderr
    assert "Memory ran out at step 2 with --micro-batch 64: step 1 is saved; " in found.stderr
    assert "Traceback" not in found.stderr
    changed = [name for name, held in contents(tmp_path).items() if held != before[name]]
    assert changed == ["adapter.data.txt"]


@pytest.fixture
def small_disk(monkeypatch):
    """Files of this run cannot grow beyond so many bytes, from one of its steps on."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    step = Loop._step

    def limit(at: int, size: int) -> None:
        def stepped(loop: Loop):
            if loop.progress.step == at:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            return step(loop)

        monkeypatch.setattr(Loop, "_step", stepped)

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (150_000, "adapter.state"),  # room for adapters, of 107 kB, and the log
        (400, "adapter.log.jsonl"),
    ],
)
def test_a_disk_that_fills(train, tmp_path, small_disk, monkeypatch, capsys, size, name) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    more = ("--no-tensorboard", "--val-fraction=0")
    assert train(whole, *more) == 0
    assert train(broken, *more, "--steps=2") == 0
    before = contents(broken)
    with monkeypatch.context():
        small_disk(3, size)
        assert train(broken, *more, "--resume") == 2
    said = sentence(capsys)
    assert str(broken / name) in said and "cannot be written (File too large)" in said
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    monkeypatch.undo()
    assert not list(broken.glob(".adapter*"))
    for kept in ("adapter.safetensors", "adapter.state", "adapter.png"):
        assert contents(broken)[kept] == before[kept]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert train(broken, *more, "--resume") == 0
    for same in ("adapter.safetensors", "adapter.state"):
        assert (broken / same).read_bytes() == (whole / same).read_bytes()
    steps = [entry["step"] for entry in read_log(broken / "adapter.log.jsonl")]
    assert steps == list(range(1, 7))
