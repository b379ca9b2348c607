"""The log, the plot, and files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import random
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from comfyui_softrepa.tests.training import board
from comfyui_softrepa.training.run.output import boards, files, plot
from comfyui_softrepa.training.run.output.log import Log, read_log
from PIL import Image


def test_a_resumed_log_drops_what_came_after_the_checkpoint(tmp_path) -> None:
    path = tmp_path / "a.log.jsonl"
    lines = [json.dumps({"step": step, "loss": 1.0, "accuracy": 0.5}) for step in (1, 2, 3, 4)]
    path.write_text("\n".join(lines) + '\n{"step": 5, "lo')
    log = Log(path, 3, 10)
    log.step(step=4, loss=2.0, accuracy=1.0)
    log.close()
    assert [(entry["step"], entry["loss"]) for entry in read_log(path)] == [
        (1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0),
    ]  # fmt: skip


def test_a_new_run_starts_an_empty_log_with_its_first_step(tmp_path) -> None:
    path = tmp_path / "a.log.jsonl"
    path.write_text('{"step": 1, "loss": 1.0, "accuracy": 0.5}\n')
    log = Log(path, 0, 10)
    assert read_log(path)[0]["loss"] == 1.0
    log.step(step=1, loss=2.0, accuracy=0.5)
    log.close()
    assert [entry["loss"] for entry in read_log(path)] == [2.0]


def test_what_is_no_number_is_null_in_the_log_and_left_out_of_the_plot(tmp_path) -> None:
    path = tmp_path / "a.log.jsonl"
    log = Log(path, 0, 3)
    for step, loss in enumerate((2.0, math.nan, math.inf), 1):
        log.step(step=step, loss=loss, accuracy=0.5, val_by_timestep={"0-199": {"loss": loss}})
    log.close()
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()
    entries = read_log(path)
    assert [entry["loss"] for entry in entries] == [2.0, None, None]
    assert entries[1]["val_by_timestep"] == {"0-199": {"loss": None}}
    assert [curve.points for curve in plot._curves(entries, "loss", "val_loss")] == [[(1, 2.0)]] * 2


def tensorboard(folder, step: int = 0) -> list:
    return [partial(boards.tensorboard, folder / "a.tensorboard", step)]


def test_tensorboard_gets_every_number(tmp_path) -> None:
    log = Log(tmp_path / "a.log.jsonl", 0, 2, tensorboard(tmp_path))
    log.step(step=1, loss=2.5, accuracy=1.0, val_by_timestep={"0-199": {"loss": 3.0}})
    log.step(step=2, loss=1.5, accuracy=0.5)
    log.close()
    assert board.scalars(tmp_path / "a.tensorboard") == {
        "loss": [(1, 2.5), (2, 1.5)],
        "accuracy": [(1, 1.0), (2, 0.5)],
        "val_by_timestep/0-199/loss": [(1, 3.0)],
    }


def test_tensorboard_forgets_what_a_resumed_run_repeats(tmp_path) -> None:
    for start, losses in ((0, (1.0, 2.0, 3.0)), (1, (5.0, 6.0))):
        log = Log(tmp_path / "a.log.jsonl", start, 3, tensorboard(tmp_path, start))
        for step, loss in enumerate(losses, start + 1):
            log.step(step=step, loss=loss, accuracy=0.0)
        log.close()
    assert board.scalars(tmp_path / "a.tensorboard")["loss"] == [(1, 1.0), (2, 5.0), (3, 6.0)]


def test_weights_and_biases_gets_every_number_and_is_gone_on_with(tmp_path, monkeypatch) -> None:
    begun, logged = [], []

    class Run:
        def log(self, numbers, step):
            logged.append((step, numbers))

        def finish(self):
            logged.append("finished")

    def init(**told):
        begun.append(told)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    for start in (0, 1):
        made = partial(boards.wandb, "a", "2026-01-01", {"steps": 2})
        log = Log(tmp_path / "a.log.jsonl", start, 2, [made])
        assert len(begun) == start  # nothing leaves before the first step
        before = {"before": {"val_loss": 9.0}} if start == 0 else {}
        log.step(step=start + 1, loss=2.5, accuracy=1.0, **before)
        log.close()
    first = [(0, {"val_loss": 9.0}), (1, {"loss": 2.5, "accuracy": 1.0}), "finished"]
    assert logged == [*first, (2, {"loss": 2.5, "accuracy": 1.0}), "finished"]
    assert begun[0] == begun[1] and begun[0]["resume"] == "allow"
    assert begun[0]["project"] == "softrepa" and begun[0]["config"] == {"steps": 2}


def test_no_tensorboard_is_no_fault(tmp_path, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if not installed
    log = Log(tmp_path / "a.log.jsonl", 0, 1, tensorboard(tmp_path))
    log.step(step=1, loss=1.0, accuracy=0.0)
    log.close()
    assert len(read_log(tmp_path / "a.log.jsonl")) == 1
    assert not (tmp_path / "a.tensorboard").exists()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    files.write_whole(path, b"old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OSError):
            files.write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("steps", [0, 1, 2, 400])
def test_plot_draws_any_number_of_steps(tmp_path, steps: int) -> None:
    rng = random.Random(0)
    entries = [
        {"step": step, "loss": 2.0 - step / 400 + rng.random(), "accuracy": rng.random()}
        for step in range(1, steps + 1)
    ]
    for entry in entries[49::50]:
        entry |= {"val_loss": entry["loss"], "val_accuracy": 0.5}
    plot.draw(entries, tmp_path / "a.png", "demo")
    assert (tmp_path / "a.png").exists() == (steps > 0)
    if steps:
        with Image.open(tmp_path / "a.png") as picture:
            colours = {colour for _, colour in picture.getcolors(1 << 20)}
        assert ((194, 65, 12) in colours) == (steps >= 50)  # held-out points


def test_plot_stays_readable_with_one_wild_step() -> None:
    low, high = plot._bounds([1.0] * 300 + [2.0] * 300 + [1e6])
    assert low < 1.0 and 2.0 < high < 3.0
