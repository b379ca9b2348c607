"""`evaluate.py` from any folder: what it writes, prints and answers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.trial import open_trial
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


def version(folder: Path, seeds=(1,), gain: float = 0.0, **changes) -> Path:
    """A trial of another version of the adapter, that judges a share of prompts better."""
    manifest = replace(made.manifest(prompts=20, seeds=seeds), **changes)
    begun = made.painted(folder, manifest)
    better = {prompt.id for prompt in manifest.prompts[: int(gain * 20)]}
    voted.scored(begun, "judge", lambda c: c.arm == "SoftREPA" and c.prompt in better)
    return folder


def test_versions_side_by_side(scored, tmp_path, capsys):
    other = version(tmp_path / "other", seeds=(2,), name="=second")
    table = tmp_path / "table.csv"
    assert main(["compare", str(scored), str(other), "--csv", str(table)]) == 0
    said = capsys.readouterr()
    head, first, second = said.out.splitlines()
    assert head.split()[:4] == ["trial", "arm", "adapter", "against"]
    assert "adapter.safetensors@bbbbbbbbbb" in first and "+100.0 points" in first
    assert " 0.0 points" in second and "seeds" in said.err
    assert "cannot be paired: they have no prompt and seed in common" in said.err
    assert "'=second" in table.read_text("utf-8-sig")
    assert main(["compare", str(scored), str(scored)]) == 0
    assert capsys.readouterr().err == ""


def test_versions_are_paired_picture_by_picture(tmp_path, capsys):
    one = version(tmp_path / "one", gain=0.2, name="v1")
    # Other ids, other order and one more seed: prompts are known by their text.
    listed = made.manifest(prompts=20).prompts
    renamed = tuple(replace(prompt, id=f"x{prompt.id}") for prompt in listed)
    two = version(tmp_path / "two", seeds=(1, 7), gain=0.9, name="v2", prompts=renamed)
    assert main(["compare", str(one), str(two)]) == 0
    said = capsys.readouterr()
    *_, base, found = said.out.splitlines()
    assert base.split()[:6] == ["v2", "bare", "-", "v1:", "bare", "judge"] and " 0.0 points" in base
    # 14 of 20 prompts rose: exact McNemar 2 / 2^14, by Holm over two.
    assert "v1: SoftREPA" in found and "+70.0 points" in found and found.split()[-1] == "<0.001"
    assert "share 20 of 40 prompts and seeds" in said.err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sampling": replace(made.manifest().sampling, steps=9)}, "sampled with other settings"),
        ({"host": {"torch": "9"}}, "other host versions"),
        ({"weights": "f" * 64}, "cannot be paired by judge"),
    ],
)
def test_where_trials_cannot_be_paired_it_is_said(tmp_path, capsys, changes, told):
    weights = changes.get("weights")
    manifest = {} if weights else changes
    one, two = version(tmp_path / "one"), version(tmp_path / "two", **{"name": "v2", **manifest})
    if weights:
        opened = open_trial(two)
        opened.add_scores([replace(score, weights=weights) for score in opened.scores()])
    assert main(["compare", str(one), str(two)]) == 0
    said = capsys.readouterr()
    assert told in said.err and ("does it help: bare" in said.out) == ("host" in changes)
