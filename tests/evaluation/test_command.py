"""`evaluate.py` from any folder: what it writes, prints and answers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.tests.evaluation import made, voted

EVALUATE = Path(__file__).resolve().parents[2] / "evaluation" / "evaluate.py"


@pytest.fixture
def scored(tmp_path) -> Path:
    """The folder of a scored trial, whose arm is better by far."""
    begun = made.painted(tmp_path / "trial", made.manifest(prompts=20, seeds=(1,)))
    voted.scored(begun, "judge", lambda cell: cell.arm == "SoftREPA")
    return begun.folder


def test_a_report_from_another_folder_without_comfyui(scored, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "COMFYUI_PATH"}
    (tmp_path / "elsewhere").mkdir()
    for arguments in (["report", "../trial"], ["report", "../trial", "--output", "made"]):
        done = subprocess.run(
            [sys.executable, str(EVALUATE), *arguments],
            cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        sentence, written = done.stdout.splitlines()
        assert "SoftREPA is better than bare" in sentence and written.endswith("report.html")
    for folder in (scored, tmp_path / "elsewhere" / "made"):
        assert {p.suffix for p in folder.glob("report.*")} == {".html", ".json", ".csv", ".png"}


def test_a_trial_by_its_name_in_comfyuis_output(scored, tmp_path, capsys):
    below = tmp_path / "comfyui" / "output" / "softrepa" / "trials"
    below.mkdir(parents=True)
    scored.rename(below / "mine")
    assert main(["report", "mine", "--comfyui", str(tmp_path / "comfyui"), "--language", "ja"]) == 0
    assert "良い結果" in capsys.readouterr().out
    assert (below / "mine" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "COMMAND"),
        (["bake"], "bake"),
        (["report"], "trial"),
        (["report", "nowhere"], "trial.json"),
        (["report", "trial", "--planned", "0"], "--planned"),
        (["report", "trial", "--planned", "x"], "--planned"),
        (["report", "trial", "--language", "xx"], "--language"),
        (["report", "trial", "--primary", "beauty"], "judge"),
        (["compare", "trial"], "two trials"),
    ],
)
def test_bad_input_is_one_sentence(scored, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(scored.parent)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("evaluate.py: ") and told in said.err


def test_a_damaged_trial_is_one_sentence(scored, capsys):
    (scored / "trial.json").write_text('{"format": 1')
    assert main(["report", str(scored)]) == 2
    assert "trial.json" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_sentence(scored, monkeypatch, capsys):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "there")

    monkeypatch.setattr("tempfile.mkstemp", denied)
    assert main(["report", str(scored)]) == 2
    assert "there cannot be written" in capsys.readouterr().err


def test_versions_side_by_side(scored, tmp_path, capsys):
    manifest = made.manifest(prompts=20, seeds=(1,))
    other = made.painted(tmp_path / "other", replace(manifest, name="=second", seeds=(2,)))
    voted.scored(other, "judge", lambda cell: 0.0)
    table = tmp_path / "table.csv"
    assert main(["compare", str(scored), str(other.folder), "--csv", str(table)]) == 0
    said = capsys.readouterr()
    head, first, second = said.out.splitlines()
    assert head.split()[:3] == ["trial", "arm", "adapter"]
    assert "adapter.safetensors@bbbbbbbbbb" in first and "+100.0 points" in first
    assert "+0.0 points" in second and "seeds" in said.err
    assert "'=second" in table.read_text("utf-8-sig")
    assert main(["compare", str(scored), str(scored)]) == 0
    assert capsys.readouterr().err == ""
