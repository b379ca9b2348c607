"""Every bad input: one sentence on stderr, exit code 2, nothing trained."""

from __future__ import annotations

import shutil

import pytest
from comfyui_softrepa.tests.training.conftest import VALIDATED, write_pictures
from comfyui_softrepa.training.run import prepared, start
from safetensors.torch import load_file, save_file


@pytest.fixture
def refused(train, tmp_path, capsys, monkeypatch):
    """Runs with these flags; the sentence on stderr."""

    def no_long_work(*arguments, **named):
        raise AssertionError("bad input must be found before the cache is built")

    def attempt(*more: str, output=None, early: bool = True) -> str:
        with monkeypatch.context() as patch:
            if early:
                patch.setattr(start.caching, "build", no_long_work)
            code = train(output or tmp_path, *more)
        said = capsys.readouterr().err.strip().splitlines()
        said = [line for line in said if line.startswith("train.py: ")]
        assert code == 2 and len(said) == 1
        assert said[0].endswith((".", ")."))
        return said[0]

    return attempt


@pytest.fixture
def too_early(monkeypatch):
    """The scan of the pictures and the model's load: what bad flags must not wait for."""

    def long_work(*arguments, **named):
        raise AssertionError("a bad flag must be told before the scan and the model's load")

    monkeypatch.setattr(prepared.data, "find", long_work)
    monkeypatch.setattr(prepared.comfy_model, "load_model", long_work)


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--resolution=100", "--resolution 100"),
        ("--resolution=many", "--resolution"),
        ("--layers=7", "--layers"),
        ("--layers=0:0.5", "weights"),
        ("--layers=input", "--layers"),
        ("--placement=after_bos", "--placement"),
        ("--start=bos", "--start"),
        ("--hard-words=missing.toml", "missing.toml"),
        ("--thumbnail=missing.png", "--thumbnail"),
        ("--output=.", "--output"),
        (f"--checkpoint={'n' * 300}", "no checkpoint"),
        (f"--base-directory={'n' * 300}", "--base-directory"),
        ("--checkpoint=nothing.safetensors", "no checkpoint"),
        ("--model=nothing.safetensors", "no model"),
        ("--vae=nothing.safetensors", "no vae"),
        ("--text-encoder=nothing.safetensors", "no text encoder"),
    ],
)
def test_a_bad_flag_waits_for_nothing(refused, too_early, flag: str, word: str) -> None:
    assert word in refused(flag)


def test_a_bad_flag_for_a_u_net_waits_for_nothing(refused, too_early, sd15_checkpoint) -> None:
    sd15 = f"--checkpoint={sd15_checkpoint}"
    assert "--placement" in refused(sd15, "--placement=prepend")
    assert "--per-block" in refused(sd15, "--layers=input.1,input.3")


def test_a_missing_part_waits_for_nothing(refused, too_early, sd3, tmp_path) -> None:
    weights = load_file(sd3)
    for prefix, word in (("text_encoders.", "--text-encoder"), ("first_stage_model.", "--vae")):
        left = {key: value for key, value in weights.items() if not key.startswith(prefix)}
        save_file(left, tmp_path / "part.safetensors")
        said = refused(f"--checkpoint={tmp_path / 'part.safetensors'}")
        assert (word in said and "SD3" in said) or "t5xxl" in said


@pytest.mark.parametrize("flag", ["data", "cache", "hard-words", "thumbnail", "config"])
def test_names_too_long_for_any_file(refused, flag: str) -> None:
    assert "long" in refused(f"--{flag}={'n' * 300}", early=flag != "cache").lower()


def test_no_such_checkpoint(refused) -> None:
    assert "no checkpoint nothing.safetensors" in refused("--checkpoint=nothing.safetensors")


def test_no_checkpoint_at_all(refused, tmp_path) -> None:
    (tmp_path / "text.safetensors").write_text("no model")
    assert "checkpoint" in refused(f"--checkpoint={tmp_path / 'text.safetensors'}")


@pytest.mark.parametrize("captions", [0, 1])
def test_too_few_captions(refused, tmp_path, captions: int) -> None:
    write_pictures(tmp_path, ["red"] * 4)
    if captions == 0:
        for path in tmp_path.glob("*.txt"):
            path.unlink()
    assert "caption" in refused(f"--data={tmp_path}")


def test_empty_folder(refused, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no images" in refused(f"--data={tmp_path / 'empty'}")
    assert "no folder" in refused(f"--data={tmp_path / 'missing'}")


def test_batch_larger_than_the_set(refused) -> None:
    said = refused(VALIDATED, "--batch-size=7")
    assert "--batch-size 7" in said and "8 pairs, 2 of them held out" in said


def test_output_that_cannot_be_written(refused, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(f"--output={tmp_path / 'file' / 'adapter.safetensors'}")
    assert ".safetensors" in refused(f"--output={tmp_path / 'adapter.pth'}")


def test_disk_that_fills(train, tmp_path, capsys, monkeypatch) -> None:
    from comfyui_softrepa.training.run.output import state

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(state, "write_whole", full)
    assert train(tmp_path) == 2
    assert "No space left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--batch-size=1", "batch-size"),
        ("--val-fraction=2", "val-fraction"),
        ("--no-such-flag", "no-such-flag"),
        ("--config=missing.toml", "--config"),
    ],
)
def test_flags_that_cannot_be(refused, flag: str, word: str) -> None:
    assert word in refused(flag)


def test_resume_from_other_settings_says_which(train, refused, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    said = refused("--resume", "--weight-decay=0.5")
    assert "--weight-decay 0.0001" in said and "0.5" in said
    assert "--objective softrepa" in refused("--resume", "--objective=agsm")


def test_an_unfinished_run_is_not_overwritten_unasked(train, refused, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    assert "--resume" in refused("--steps=4") and train(tmp_path, "--steps=4", "--overwrite") == 0


def test_a_damaged_state(train, refused, tmp_path) -> None:
    assert train(tmp_path, "--steps=2") == 0
    (tmp_path / "adapter.state").write_bytes(b"damaged")
    assert "adapter.state" in refused("--resume")


def test_cache_of_another_model(refused, sd3, tmp_path, shared_cache, train) -> None:
    assert train(tmp_path, "--steps=1") == 0  # the cache is there now
    other = tmp_path / "other.safetensors"
    shutil.copy(sd3, other)
    with other.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    said = refused(f"--checkpoint={other}", "--overwrite", early=False)
    assert "another model" in said
