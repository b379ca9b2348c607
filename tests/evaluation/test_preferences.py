"""A trial's verdicts as pairs to train on: `evaluate.py preferences`."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.commands.preferences import by_score, by_votes
from comfyui_softrepa.evaluation.trial import Cell
from comfyui_softrepa.tests.evaluation import made, voted
from comfyui_softrepa.training.data import compared, find

ARMS = ("bare", "SoftREPA")


@pytest.fixture
def trial(tmp_path):
    """Four prompts, two seeds. A judge likes the arm better on all but the last prompt, the more
    the higher the prompt's number, and the second seed a little."""
    begun = made.painted(tmp_path / "trial", made.manifest())
    worth = {"0001": 1.0, "0002": 2.0, "0003": 3.0, "0004": 0.0}
    voted.scored(begun, "judge", lambda c: (c.arm == "SoftREPA") * worth[c.prompt])
    return begun


def test_the_best_and_the_worst_of_a_prompt(trial):
    pairs = list(by_score(trial, "judge"))
    assert pairs == [
        (Cell("SoftREPA", prompt, 1), Cell("bare", prompt, 1))
        for prompt in ("0001", "0002", "0003")
    ]
    assert [better.prompt for better, _ in by_score(trial, "judge", 2.0)] == ["0002", "0003"]
    # What was painted again after it was scored says nothing.
    trial.path(Cell("SoftREPA", "0003", 1)).write_bytes(made.png(Cell("other", "0003", 1)))
    trial.path(Cell("SoftREPA", "0003", 2)).unlink()
    assert [better.prompt for better, _ in by_score(trial, "judge")] == ["0001", "0002"]


def test_most_voters_decide(trial):
    def vote(voter, prompt, answer, left=0, seed=1, repeat=False):
        return voted.Vote(voter, prompt, seed, ARMS[left], ARMS[1 - left], answer, repeat)

    votes = [
        vote("a", "0001", "left"), vote("b", "0001", "left", left=1), vote("c", "0001", "right"),
        vote("a", "0002", "left"), vote("b", "0002", "tie"), vote("c", "0002", "both_bad"),
        vote("a", "0003", "left"), vote("b", "0003", "right"),
        vote("a", "0003", "left", repeat=True),
        vote("a", "0004", "right", seed=2),
        vote("a", "gone", "left"), vote("a", "0001", "left", seed=9),
    ]  # fmt: skip
    assert list(by_votes(trial, votes)) == [
        (Cell("SoftREPA", "0001", 1), Cell("bare", "0001", 1)),
        (Cell("bare", "0002", 1), Cell("SoftREPA", "0002", 1)),
        (Cell("SoftREPA", "0004", 2), Cell("bare", "0004", 2)),
    ]
    trial.path(Cell("bare", "0002", 1)).unlink()
    assert [better.prompt for better, _ in by_votes(trial, votes)] == ["0001", "0004"]


def test_the_trainer_reads_the_trial(trial, capsys):
    assert main(["preferences", str(trial.folder), "--by", "judge"]) == 0
    assert "3 pairs of 3 of 4 prompts" in capsys.readouterr().out
    found = compared(find(trial.folder)[0])
    assert found.own == 3
    assert [pair.captions for pair in found.pairs[:3]] == [("1 cats",), ("2 cats",), ("3 cats",)]
    assert {Path(pair.image).parent.name for pair in found.pairs[:3]} == {"SoftREPA"}
    assert {Path(pair.image).parent.name for pair in found.pairs[3:]} == {"bare"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--by", "beauty"], "scored by judge"),
        (["--by", "votes"], "nothing to train on"),
        (["--by", "judge", "--margin", "9"], "nothing to train on"),
        (["--by", "judge", "--margin", "-1"], "--margin"),
        (["--by", "judge", "--margin", "nan"], "--margin"),
        ([], "--by"),
    ],
)
def test_what_cannot_be_is_one_sentence(trial, capsys, flags, told):
    assert main(["preferences", str(trial.folder), *flags]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and told in said.err
    assert not (trial.folder / "preferences.jsonl").exists()


def test_a_list_that_is_there_stays(trial, capsys):
    there = trial.folder / "preferences.jsonl"
    there.write_text("mine")
    assert main(["preferences", str(trial.folder), "--by", "judge"]) == 2
    assert "move it away" in capsys.readouterr().err and there.read_text() == "mine"
    assert not list(trial.folder.glob(".preferences*"))
