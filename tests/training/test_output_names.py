"""--output: one sentence for what names no file, before any work; and paths as users type them."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
import pytest
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.run.output import files
from comfyui_softrepa.training.run.output.adapter import Output, find_output
from comfyui_softrepa.training.settings import command_line, paths

NEEDED = ["--checkpoint=model.safetensors", "--data=pictures"]


@pytest.fixture
def adapters(tmp_path, monkeypatch) -> Path:
    """ComfyUI's softrepa folder."""
    folder = tmp_path / "models" / "softrepa"
    known = {**folder_paths.folder_names_and_paths, "softrepa": ([str(folder)], set())}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    return folder


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "empty"),
        (" ", "empty"),
        (".", "is a folder"),
        ("..", "is a folder"),
        ("/", "is a folder"),
        ("~", "is a folder"),
        ("new/", "is a folder"),
        ("HERE", "is a folder"),
        ("HERE/", "is a folder"),
        ("mine*", "holds *"),
        ("min?", "holds ?"),
        ("~nosuchuser9/x", "~nosuchuser9 is nobody's home"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\udcffb", "UTF-8"),
        ("HERE/adapter.pth", "must end in .safetensors"),
        ("n" * 236, "too long"),
        ("n" * 300, "too long"),
        ("é" * 115, "too long"),
        ("HERE/" + "n" * 236, "too long"),
    ],
)
def test_names_of_no_file(adapters, tmp_path, name: str, word: str) -> None:
    with pytest.raises(BadInput) as refused:
        find_output(name.replace("HERE", str(tmp_path)))
    said = str(refused.value)
    assert word in said and said.endswith(".") and len(said.splitlines()) == 1
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_names_of_files(adapters, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()  # a name in ComfyUI's folder has nothing to do with this one
    for name, expected in {
        "mine": adapters / "mine.safetensors",
        "mine.safetensors": adapters / "mine.safetensors",
        "mine v1.5 [final]": adapters / "mine v1.5 [final].safetensors",
        "./mine2": tmp_path / "mine2.safetensors",
        "runs/mine": tmp_path / "runs" / "mine.safetensors",
        "~/mine": tmp_path / "home" / "mine.safetensors",
    }.items():
        assert find_output(name).adapter == expected


def test_the_longest_name_that_is_taken_has_room_for_all(adapters, tmp_path) -> None:
    """Every file of a run can be written, half-written ones included."""

    def fits(length: int) -> Output | None:
        try:
            return find_output(str(tmp_path / ("n" * length)))
        except BadInput:
            return None

    longest = max(length for length in range(150, 245) if fits(length))
    assert longest > 180  # of 255 on most disks
    found = fits(longest)
    for path in (found.adapter, found.best, found.state, found.log, found.plot, found.data_report):
        files.write_whole(path, b"x")


def test_a_home_folder_in_every_path(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for flag in ("data", "cache", "comfyui", "base-directory", "hard-words", "thumbnail"):
        settings = command_line.read_settings([*NEEDED, f"--{flag}=~/x"])
        found = getattr(settings, flag.replace("-", "_"))
        assert (found[-1] if flag == "data" else found) == tmp_path / "x"  # --data adds up
        with pytest.raises(BadInput, match=f"--{flag}: ~nosuchuser9 is nobody"):
            command_line.read_settings([*NEEDED, f"--{flag}=~nosuchuser9/x"])
    settings = command_line.read_settings([*NEEDED, "--extra-model-paths-config=~/x"])
    assert settings.extra_model_paths_config == (tmp_path / "x",)
    (tmp_path / "run.toml").write_text("seed = 3\n")
    assert command_line.read_settings([*NEEDED, "--config", "~/run.toml"]).seed == 3
    with pytest.raises(BadInput, match="--config: ~nosuchuser9"):
        command_line.read_settings([*NEEDED, "--config=~nosuchuser9/x"])


@pytest.mark.parametrize("flag", ["data", "checkpoint", "vae", "text-encoder", "output", "title"])
def test_control_characters_in_any_flag(tmp_path, flag: str) -> None:
    (tmp_path / "run.toml").write_text(f'{flag} = "a\\u0000b"\n')
    needed = [each for each in NEEDED if not each.startswith(f"--{flag}")]
    with pytest.raises(BadInput, match="control character"):
        command_line.read_settings([*needed, f"--config={tmp_path / 'run.toml'}"])


def test_expanded_leaves_other_paths_alone() -> None:
    for text in ("a/b", "./~", f"{os.sep}x", "a b"):
        assert paths.expanded(text) == Path(text)
