"""Flags, the config file, and train.py run from anywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.settings import command_line
from comfyui_softrepa.training.settings.flags import parser
from comfyui_softrepa.training.settings.values import Settings

TRAIN = Path(__file__).resolve().parents[2] / "training" / "train.py"
NEEDED = ["--checkpoint=model.safetensors", "--data=pictures"]
DESIGN = (
    "checkpoint data output objective steps batch-size micro-batch learning-rate tokens layers "
    "per-block resolution seed cache save-every resume val-fraction config comfyui dry-run "
    "model text-encoder vae base-directory extra-model-paths-config"
).split()


def test_every_flag_is_a_setting_and_has_the_same_default() -> None:
    settings = command_line.read_settings(NEEDED)
    for field in fields(Settings):
        if field.name not in ("checkpoint", "data", "output", "hyperparameters"):
            assert getattr(settings, field.name) == field.default, field.name


@pytest.mark.parametrize("name", DESIGN)
def test_help_explains_every_flag_of_the_design(name: str) -> None:
    assert re.search(rf"^  --{name}\b", parser().format_help(), re.MULTILINE)


def test_config_file_holds_any_flag_and_the_command_line_wins(tmp_path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'checkpoint = "a.safetensors"\ndata = "pictures"\nbatch-size = 8\nlearning_rate = 0.01\n'
        "normalise = true\ntensorboard = false\n"
    )
    settings = command_line.read_settings([f"--config={config}", "--batch-size", "4"])
    assert (settings.checkpoint, settings.batch_size) == ("a.safetensors", 4)
    assert settings.learning_rate == 0.01 and settings.hyperparameters["normalise"] is True
    assert not settings.tensorboard
    assert settings.data == (tmp_path / "pictures",)


@pytest.mark.parametrize(
    "text", ["batch-size = [1]\n", "not toml\n", "colour = 1\n", "batch-size = 'many'\n"]
)
def test_config_file_that_cannot_be(tmp_path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(BadInput):
        command_line.read_settings([*NEEDED, f"--config={tmp_path / 'run.toml'}"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_config_file_as_windows_saves_it(tmp_path, encoding: str) -> None:
    (tmp_path / "run.toml").write_bytes('title = "Hügel"\r\nsteps = 5\r\n'.encode(encoding))
    settings = command_line.read_settings([*NEEDED, f"--config={tmp_path / 'run.toml'}"])
    assert (settings.title, settings.steps) == ("Hügel", 5)


@pytest.mark.parametrize("path", ["C:\\Users\\x", "C:\\new\\table", "D:\\fonts"])
def test_config_file_with_backslashes_between_double_quotes(tmp_path, path: str) -> None:
    (tmp_path / "run.toml").write_text(f'cache = "{path}"\n')
    with pytest.raises(BadInput, match="single quotes"):
        command_line.read_settings([*NEEDED, f"--config={tmp_path / 'run.toml'}"])
    (tmp_path / "run.toml").write_text(f"cache = '{path}'\n")
    assert str(
        command_line.read_settings([*NEEDED, f"--config={tmp_path / 'run.toml'}"]).cache
    ).endswith(path)


def test_flags_that_may_be_repeated(tmp_path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('text-encoder = ["l", "g"]\nextra_model_paths_config = "a.yaml"\n')
    settings = command_line.read_settings([*NEEDED, f"--config={config}"])
    assert settings.text_encoder == ("l", "g")
    assert settings.extra_model_paths_config == (tmp_path / "a.yaml",)
    settings = command_line.read_settings([*NEEDED, f"--config={config}", "--text-encoder", "t5"])
    assert settings.text_encoder == ("t5",)


def test_several_folders_with_weights(tmp_path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("checkpoint = 'c'\ndata = ['one', 'C:/two']\ndata-weight = [1, 2.5]\n")
    settings = command_line.read_settings([f"--config={config}"])
    assert settings.data == (tmp_path / "one", tmp_path / "C:/two")
    assert settings.data_weight == (1.0, 2.5) and settings.decisive()["data_weight"] == [1.0, 2.5]
    with pytest.raises(BadInput, match=r"--data-weight is given 2 times and --data 1 times"):
        command_line.read_settings([f"--config={config}", "--data=three"])
    again = command_line.read_settings([f"--config={config}", "--data=three", "--data-weight=1"])
    assert (again.data, again.data_weight) == ((Path("three"),), (1.0,))


def test_a_model_in_place_of_a_checkpoint() -> None:
    settings = command_line.read_settings(["--model=m", "--vae=v", "--text-encoder=t", "--data=d"])
    assert (settings.checkpoint, settings.model) == (None, "m")
    assert not {"model", "vae", "text_encoder", "base_directory"} & set(settings.decisive())
    with pytest.raises(BadInput, match="--checkpoint"):
        command_line.read_settings(["--data=d"])


def test_resume_and_overwrite_exclude_each_other() -> None:
    with pytest.raises(BadInput, match="--resume"):
        command_line.read_settings([*NEEDED, "--resume", "--overwrite"])


def test_train_py_runs_from_any_folder(tmp_path) -> None:
    found = subprocess.run(
        [sys.executable, TRAIN, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert found.returncode == 0 and "--val-fraction" in found.stdout
    found = subprocess.run(
        [sys.executable, TRAIN, "--data=."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 2
    assert len(found.stderr.strip().splitlines()) == 1 and "--checkpoint" in found.stderr
