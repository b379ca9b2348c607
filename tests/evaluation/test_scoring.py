"""Scoring a trial: what holds is kept, what changed is scored again, a kill loses nothing."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.scorers import ScorerError, load
from comfyui_softrepa.evaluation.scorers.pictures import decode
from comfyui_softrepa.evaluation.scorers.scoring import score_trial
from comfyui_softrepa.tests.evaluation import made

SCENES = world.held_out_scenes(8, seed=5)
ARMS = ("right", "wrong")
CAPTIONS = [world.caption(scene) for scene in SCENES]


def drawn(cell: trial.Cell) -> bytes:
    """The prompt's scene by one arm, another scene by the other."""
    at = int(cell.prompt) - 1
    scene = SCENES[at if cell.arm == "right" else (at + 1) % len(SCENES)]
    file = io.BytesIO()
    world.render(scene, np.random.default_rng(cell.seed)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def of_the_world(tmp_path) -> trial.Trial:
    """A trial on the demo world; one arm is always right, the other never."""
    manifest = made.manifest(prompts=len(SCENES), arms=ARMS)
    prompts = zip(manifest.prompts, CAPTIONS, strict=True)
    told = tuple(replace(prompt, text=text) for prompt, text in prompts)
    begun = trial.start(tmp_path / "trial", replace(manifest, prompts=told))
    for cell in begun.cells():
        begun.write(cell, drawn(cell))
    return begun


def test_the_judge_says_the_truth_and_only_once(of_the_world, capsys):
    assert main(["score", str(of_the_world.folder), "--scorer", "judge", "--batch", "3"]) == 0
    assert "32 pictures scored, 0 were, 0 are missing" in capsys.readouterr().out
    assert {(s.arm, s.value) for s in of_the_world.scores()} == {("right", 1.0), ("wrong", 0.0)}
    kept = (of_the_world.folder / "scores.jsonl").read_bytes()
    done = score_trial(of_the_world, load("judge"))
    assert (done.new, done.kept, done.missing) == (0, 32, 0)
    assert (of_the_world.folder / "scores.jsonl").read_bytes() == kept


def test_what_changed_is_scored_again(of_the_world):
    judge = load("judge")
    score_trial(of_the_world, judge)
    cells = list(of_the_world.cells())
    of_the_world.path(cells[0]).write_bytes(drawn(cells[1]))
    of_the_world.path(cells[3]).unlink()
    done = score_trial(of_the_world, judge)
    assert (done.new, done.kept, done.missing) == (1, 30, 1)
    judge.weights_sha256 = "f" * 64
    assert score_trial(of_the_world, judge).new == 31
    current, stale = of_the_world.current_scores()
    assert len(current) == 31 and stale == 1
    assert {s.weights for s in current} == {"f" * 64}


def test_whatever_stops_it_costs_one_batch(of_the_world):
    def stop(done: int, total: int) -> None:
        assert total == 32
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_trial(of_the_world, load("judge"), stop, batch=4)
    assert len(of_the_world.scores()) == 8
    assert score_trial(of_the_world, load("judge")).new == 24


def test_what_is_no_picture_or_no_number_is_named_and_nothing_is_lost(of_the_world):
    judge = load("judge")
    broken = list(of_the_world.cells())[5]
    whole = of_the_world.read(broken)
    of_the_world.path(broken).write_bytes(whole[:60] + b"x" * 40 + whole[100:])
    with pytest.raises(ScorerError, match=r"-\d+\.png: .*Delete it and paint"):
        score_trial(of_the_world, judge, batch=2)
    assert len(of_the_world.scores()) == 4
    of_the_world.path(broken).unlink()
    judge.score = lambda pictures, *_: [float("nan")] * len(pictures)
    with pytest.raises(ScorerError, match=r"no number for .*\.png"):
        score_trial(of_the_world, judge, batch=2)
    assert score_trial(of_the_world, load("judge")).missing == 1
    assert len(of_the_world.scores()) == 31


def test_a_run_with_nothing_to_do_can_be_stopped_too(of_the_world):
    judge, told = load("judge"), []
    score_trial(of_the_world, judge)
    score_trial(of_the_world, judge, lambda done, total: told.append((done, total)))
    assert told and set(told) == {(32, 32)}


def test_bad_input_is_one_sentence(of_the_world, tmp_path, capsys):
    told = made.painted(tmp_path / "other")
    for arguments, said in (
        ([str(told.folder), "--scorer", "judge"], "two red circles"),
        ([str(told.folder), "--scorer", "beauty"], "judge"),
        ([str(told.folder), "--scorer", "judge", "--batch", "0"], "--batch"),
        ([str(told.folder)], "--scorer"),
    ):
        assert main(["score", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    with pytest.raises(ScorerError, match="cannot be read"):
        decode(b"no picture")


def test_killed_at_twenty_moments_and_gone_on_with(of_the_world):
    """Each run is killed a moment after some of its batches; the last one is left to end."""
    scores, moments = of_the_world.folder / "scores.jsonl", random.Random(0)
    judge = load("judge")
    judge.score([decode(drawn(cell)) for cell in [next(of_the_world.cells())]], [CAPTIONS[0]])
    for _ in range(20):
        # A child of this process has everything loaded: it is killed while it scores.
        child, wanted = os.fork(), lines(scores) + moments.randint(0, 2)
        if not child:
            score_trial(of_the_world, judge, batch=1)
            os._exit(0)
        while lines(scores) < wanted and not os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.001)
        time.sleep(moments.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    left = lines(scores)
    assert 0 < left
    with scores.open("ab") as file:
        file.write(b'{"arm": "right", "prompt": "00')  # The most that a kill leaves behind.
    assert score_trial(of_the_world, judge).kept == left
    assert lines(scores) == len(of_the_world.scores()) == 32
    assert {(s.arm, s.value) for s in of_the_world.scores()} == {("right", 1.0), ("wrong", 0.0)}


def test_two_at_once_lose_nothing_and_count_nothing_twice(of_the_world):
    judge = load("judge")
    children = []
    for _ in range(2):
        children.append(os.fork())
        if not children[-1]:
            score_trial(of_the_world, judge, batch=3)
            os._exit(0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert {(s.arm, s.value) for s in of_the_world.scores()} == {("right", 1.0), ("wrong", 0.0)}
    assert (
        len(of_the_world.current_scores()[0]) == 32 <= lines(of_the_world.folder / "scores.jsonl")
    )


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
