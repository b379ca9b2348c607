"""Whole runs of objective dpo on a small checkpoint."""

from __future__ import annotations

import shutil

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.conftest import VALIDATED
from comfyui_softrepa.training.run.output.log import read_log


@pytest.fixture(scope="module")
def compared(tmp_path_factory, pictures):
    """The pictures, each better than the next one, which lies beside it."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(pictures, folder, dirs_exist_ok=True)
    for number in range(8):
        shutil.copyfile(folder / f"{(number + 1) % 8}.png", folder / f"{number}.lose.png")
    return folder


DPO = ("--objective=dpo", "--beta=200", "--no-normalise")


def test_it_learns_and_goes_on_to_the_same_bytes(train, tmp_path, compared) -> None:
    written, more = [], (*DPO, VALIDATED, f"--data={compared}", "--learning-rate=0.01")
    for name, steps in (("whole", (4,)), ("resumed", (2, 4))):
        for count in steps:
            (tmp_path / name).mkdir(exist_ok=True)
            assert train(tmp_path / name, *more, f"--steps={count}", "--resume") == 0
        written.append(tmp_path / name / "adapter.safetensors")
    assert written[0].read_bytes() == written[1].read_bytes()
    said = files.read(written[0]).metadata
    assert said["softrepa.objective"] == "dpo" and said["softrepa.beta"] == "200.0"
    assert "softrepa.normalise" not in said and said["softrepa.pairs"] == "8"
    entries = read_log(tmp_path / "whole" / "adapter.log.jsonl")
    assert all(0.0 <= entry["accuracy"] <= 1.0 for entry in entries)
    # Before training the tokens are nearly nothing, and the loss nearly ln 2.
    assert 0.4 < entries[0]["loss"] < 1.1
    assert entries[-1]["val_by_timestep"].keys() == entries[0]["before"]["val_by_timestep"].keys()


def test_other_objectives_see_no_worse_pictures(train, tmp_path, compared) -> None:
    for name, data in (("with", compared), ("without", None)):
        (tmp_path / name).mkdir()
        more = [] if data is None else [f"--data={data}"]
        assert train(tmp_path / name, "--steps=2", *more) == 0
    adapters = [files.read(tmp_path / name / "adapter.safetensors") for name in ("with", "without")]
    assert adapters[0].metadata["softrepa.dataset"] == adapters[1].metadata["softrepa.dataset"]
    assert (adapters[0].tokens == adapters[1].tokens).all()


def test_without_worse_pictures_it_says_what_to_do(train, tmp_path, capsys) -> None:
    assert train(tmp_path, *DPO) == 2
    assert "put NAME.lose.png beside NAME.png" in capsys.readouterr().err
