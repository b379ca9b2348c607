"""What a run finds under its output's name: nothing is replaced unasked, and nothing mixed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.conftest import VALIDATED, write_pictures
from comfyui_softrepa.tests.training.test_run import assert_same
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.run import prepared, start
from comfyui_softrepa.training.run.output import lock, previous
from comfyui_softrepa.training.run.output.log import read_log


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and time."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def refused(train, capsys, monkeypatch):
    """Runs with these flags: refused before the scan, or before the cache, with no file touched."""

    def attempt(output: Path, *more: str, before: str = "scan") -> str:
        def too_late(*arguments, **named):
            raise AssertionError(f"must be refused before the {before}")

        held = contents(output)
        with monkeypatch.context() as patch:
            if before == "scan":
                patch.setattr(prepared.data, "find", too_late)
            patch.setattr(start.caching, "build", too_late)
            assert train(output, *more) == 2
        assert contents(output) == held
        said = [line for line in capsys.readouterr().err.splitlines() if "train.py: " in line]
        assert len(said) == 1
        return said[0]

    return attempt


def test_a_finished_run_is_not_replaced_unasked(train, refused, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    said = refused(tmp_path, "--steps=2", "--seed=1")
    for word in ("finished run of 2 steps", "--seed 0", "--overwrite", "--resume", "--output"):
        assert word in said
    assert "--steps" in refused(tmp_path, "--steps=1")  # fewer steps: another adapter
    # What the model's family decides is known only once the model is loaded.
    assert "--tokens 4" in refused(tmp_path, "--steps=2", "--tokens=5", before="cache")
    assert "--overwrite" in refused(tmp_path, "--steps=2", "--title=Mine", before="cache")


def test_the_same_run_again_is_done_already(train, tmp_path, capsys) -> None:
    assert train(tmp_path, "--steps=2") == 0
    held = contents(tmp_path)
    for more in ((), ("--resume",), ("--tokens=4", "--micro-batch=1")):
        assert train(tmp_path, "--steps=2", *more) == 0
        assert "adapter.safetensors is done already: 2 steps." in capsys.readouterr().out
        assert contents(tmp_path) == held


def test_resuming_a_finished_run_writes_new_labels_and_a_lost_adapter(train, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    adapter = tmp_path / "adapter.safetensors"
    first = adapter.read_bytes()
    adapter.unlink()
    assert train(tmp_path, "--steps=2", "--resume") == 0
    assert adapter.read_bytes() == first
    assert train(tmp_path, "--steps=2", "--resume", "--title=Mine") == 0
    assert files.read(adapter).metadata["modelspec.title"] == "Mine"


@pytest.mark.parametrize("name", ["adapter.safetensors", "adapter.best.safetensors", "adapter.png"])
def test_a_file_that_is_no_run_of_ours_stays(refused, tmp_path, name: str) -> None:
    (tmp_path / name).write_bytes(b"copied here by hand")
    for more in ((), ("--resume",)):
        said = refused(tmp_path, *more)
        assert name in said and "--overwrite" in said and "--output" in said


def test_an_adapter_put_beside_the_state_of_another_stays(train, refused, tmp_path, monkeypatch):
    assert train(tmp_path, "--steps=2") == 0
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700009999")
    assert train(tmp_path / "other", "--steps=2") == 0
    shutil.move(tmp_path / "other" / "adapter.safetensors", tmp_path / "adapter.safetensors")
    for more in ((), ("--resume",), ("--resume", "--steps=2")):
        assert "is not of the run that adapter.state belongs to" in refused(tmp_path, *more)


def test_another_checkpoint_or_data_is_named_by_flags_that_there_are(
    train, refused, tmp_path, sd3
) -> None:
    assert train(tmp_path, "--steps=2") == 0
    (tmp_path / "pictures").mkdir()
    write_pictures(tmp_path / "pictures", ["red", "blue", "green", "white", "black", "gray"])
    data = f"--data={tmp_path / 'pictures'}"
    assert "2 steps, with other data: " in refused(tmp_path, "--steps=2", data, before="cache")
    os.link(sd3, tmp_path / "renamed.safetensors")
    checkpoint = f"--checkpoint={tmp_path / 'renamed.safetensors'}"
    said = refused(tmp_path, "--steps=4", "--resume", checkpoint, before="cache")
    assert "--checkpoint sd3.safetensors, not renamed.safetensors" in said


def test_what_a_run_left_that_was_killed_before_its_first_state_is_no_hindrance(
    train, tmp_path
) -> None:
    (tmp_path / "adapter.log.jsonl").write_text('{"step": 1, "loss": 9.0, "accuracy": 0.0}\n')
    (tmp_path / "adapter.best.safetensors").write_bytes(b"of its first validation")
    assert train(tmp_path, "--steps=1", "--resume") == 0
    assert [entry["loss"] < 9.0 for entry in read_log(tmp_path / "adapter.log.jsonl")] == [True]


def test_overwriting_leaves_nothing_of_the_old_run(train, tmp_path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir(), new.mkdir()
    assert train(old, VALIDATED, "--steps=6") == 0
    more = ("--steps=1", "--save-every=9", "--seed=1")
    assert train(old, *more, "--overwrite") == 0
    assert train(new, *more) == 0
    names = {path.name for path in new.iterdir()}
    assert {
        path.name for path in old.iterdir()
    } == names and "adapter.best.safetensors" not in names
    for name in ("adapter.safetensors", "adapter.state"):
        assert (old / name).read_bytes() == (new / name).read_bytes()
    assert len(read_log(old / "adapter.log.jsonl")) == 1
    events = [len(list((folder / "adapter.tensorboard").iterdir())) for folder in (old, new)]
    assert events == [1, 1]


def test_overwriting_by_a_run_that_cannot_begin_destroys_nothing(train, tmp_path, monkeypatch):
    assert train(tmp_path, "--steps=1") == 0
    (tmp_path / "adapter.data.txt").unlink()
    held = contents(tmp_path)

    def full(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("comfyui_softrepa.training.engine.Engine.accumulate", full)
        assert train(tmp_path, "--steps=2", "--overwrite") == 1
    (tmp_path / "adapter.data.txt").unlink()
    assert contents(tmp_path) == held


def test_two_trainers_on_one_output(train, refused, tmp_path) -> None:
    with lock.alone(tmp_path / "adapter.safetensors"):
        assert "Another trainer is writing adapter.safetensors" in refused(tmp_path)
        assert train(tmp_path, "--steps=1", f"--output={tmp_path / 'other'}") == 0
    assert train(tmp_path, "--steps=1") == 0
    assert not list(tmp_path.glob(".*"))


def test_a_lock_is_free_again_however_it_ended(tmp_path) -> None:
    adapter = tmp_path / "a.safetensors"
    (tmp_path / ".a.lock").touch()  # of a killed process
    for _ in range(2):
        with pytest.raises(RuntimeError), lock.alone(adapter):
            with pytest.raises(BadInput), lock.alone(adapter):
                pass
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_files_get_the_users_usual_mode(train, tmp_path) -> None:
    before = os.umask(0o027)
    try:
        assert train(tmp_path, "--steps=2") == 0
    finally:
        os.umask(before)
    for path in tmp_path.glob("adapter.*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o640, path.name


def test_resume_with_other_pictures(train, refused, tmp_path, pictures) -> None:
    output, other = tmp_path / "out", tmp_path / "pictures"
    output.mkdir(), other.mkdir()
    assert train(output, "--steps=2") == 0
    write_pictures(other, ["red", "blue", "green", "white", "black", "gray", "pink", "brown"])
    said = refused(output, "--resume", f"--data={other}", before="cache")
    assert "8 pairs as before, but with other pictures or captions" in said
    for number in range(8, 10):
        (other / f"{number}.png").write_bytes((other / "1.png").read_bytes() + b"\0" * number)
        (other / f"{number}.txt").write_text(f"square number {number}")
    said = refused(output, "--resume", f"--data={other}", before="cache")
    assert "8 pairs before, 10 now" in said and "--accept-changed-data" in said
    more = ("--resume", f"--data={other}", "--accept-changed-data")
    assert train(output, "--steps=4", *more) == 0
    told = files.read(output / "adapter.safetensors").metadata
    assert told["softrepa.pairs"] == "10"
    assert told["softrepa.changes"].startswith("after step 2: data: 8 pairs before, 10 now")
    assert (
        train(output, "--steps=5", "--resume", f"--data={other}") == 0
    )  # the new set is the run's


def test_what_users_are_told_to_change_may_change(train, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    assert train(tmp_path, "--steps=4", "--resume", "--learning-rate=0.0005") == 0
    more = ("--resume", "--learning-rate=0.0005", "--precision=bf16")
    assert train(tmp_path, "--steps=5", *more) == 0
    told = files.read(tmp_path / "adapter.safetensors").metadata
    assert told["softrepa.learning_rate"] == "0.0005" and told["softrepa.precision"] == "bf16"
    assert told["softrepa.changes"] == (
        "after step 2: learning_rate 0.001 to 0.0005; after step 4: precision auto to bf16"
    )
    rates = [entry["lr"] for entry in read_log(tmp_path / "adapter.log.jsonl")]
    assert rates == [0.001] * 2 + [0.0005] * 3


def test_the_plot_is_there_from_the_first_save_on(train, tmp_path, monkeypatch) -> None:
    seen = []
    done = previous.is_done

    def look(*arguments):
        seen.append((tmp_path / "adapter.png").exists())
        return done(*arguments)

    monkeypatch.setattr(previous, "is_done", look)
    assert train(tmp_path, "--steps=2") == 0 and (tmp_path / "adapter.png").is_file()
    assert train(tmp_path, "--steps=4", "--resume") == 0
    assert seen == [False, True]
    assert_same(tmp_path, tmp_path)
