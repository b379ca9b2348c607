"""From three arms to the answer, with no network: painted, scored, voted on by two people who are
wrong now and then, reported. Leaves build/evaluation/report.html and .png to look at."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.evaluation import cli
from comfyui_softrepa.evaluation.trial import open_trial
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.host.chromium import FLAGS, locate
from comfyui_softrepa.tests.evaluation.painting import studio
from comfyui_softrepa.tests.evaluation.votes.follower import Follower, open_page, truth
from comfyui_softrepa.tests.evaluation.votes.served import start
from playwright.sync_api import sync_playwright

BUILD = studio.ROOT / "build" / "evaluation"
AGSM, ARMS = "agsm.safetensors", ("bare", "SoftREPA", "AGSM")
SCENES = world.unswept_scenes(8)
VOTES = 12
"""Of each voter."""


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    kept = studio.KEPT.with_name(AGSM)
    shutil.copyfile(kept, base / "models" / "softrepa" / AGSM)
    prompts = tmp_path / "prompts.csv"
    lines = [f"{world.caption(s)},{'two' if s.second else 'single'}" for s in SCENES]
    prompts.write_text("\n".join(["prompt,category", *lines]), encoding="utf-8")
    return tmp_path / "trial"


def command(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0


def test_from_three_arms_to_the_answer(folder):
    adapters = {"SoftREPA": f"{studio.ADAPTER} strength=0.5", "AGSM": AGSM}
    arms = ["bare", *(f"{name}: adapter={file}" for name, file in adapters.items())]
    command(
        "paint", folder, "--checkpoint", studio.CHECKPOINT, *(f"--arm={arm}" for arm in arms),
        "--prompts", folder.parent / "prompts.csv", "--steps=6", "--guidance=4",
        "--scheduler=simple", "--width=64", "--height=64", "--cpu",
    )  # fmt: skip
    command("score", folder, "--scorer", "judge")
    command("score", folder, "--scorer", "clip", "--file", studio.MODELS / "small_clip")
    followers = vote(folder)
    command("report", folder)
    _check_votes(folder, followers)
    _check_report(folder)
    BUILD.mkdir(parents=True, exist_ok=True)
    for suffix in ("html", "png"):
        shutil.copyfile(folder / f"report.{suffix}", BUILD / f"report.{suffix}")


def vote(folder: Path) -> list[Follower]:
    """Two people in browsers of their own, a vote of each in turn."""
    by_text = {world.caption(scene): scene for scene in SCENES}
    process, address = start(folder, "--port", "0", "--goal", str(VOTES))
    try:
        with sync_playwright() as playwright:
            browsers = [
                playwright.chromium.launch(executable_path=locate(), args=FLAGS) for _ in range(2)
            ]
            followers = [
                Follower(open_page(browser, address, f"voter {at}"), by_text, random.Random(at))
                for at, browser in enumerate(browsers)
            ]
            while sum(follower.step() for follower in followers):
                pass
            for browser in browsers:
                browser.close()
    finally:
        process.kill()
        process.wait()
    return followers


def _check_votes(folder: Path, followers: list[Follower]) -> None:
    votes = read_votes(folder / "votes.sqlite")
    assert [len(follower.given) for follower in followers] == [VOTES, VOTES]
    for at, follower in enumerate(followers):
        assert [one.answer for one in votes if one.voter == f"voter {at}"] == follower.given
    scenes = {p.id: s for p, s in zip(open_trial(folder).manifest.prompts, SCENES, strict=True)}
    against = sum(one.answer != truth(folder, scenes[one.prompt], one) for one in votes)
    assert against == sum(follower.wrong for follower in followers)
    assert {arm for one in votes for arm in (one.left_arm, one.right_arm)} == set(ARMS)


def _check_report(folder: Path) -> None:
    trial = open_trial(folder)
    assert [arm.name for arm in trial.manifest.arms] == list(ARMS)
    right = {arm: [] for arm in ARMS}
    for score in trial.scores():
        if score.scorer == "judge":
            right[score.arm].append(score.value)
    assert {len(values) for values in right.values()} == {len(SCENES)}
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [each["arm"] for each in told["comparisons"]] == list(ARMS[1:])
    for each in told["comparisons"]:
        assert set(each["scorers"]) == {"judge", "clip"} and each["primary"] == "votes"
        overall = each["scorers"]["judge"]["overall"]
        assert overall["arm"] == pytest.approx(sum(right[each["arm"]]) / len(SCENES))
        assert overall["base"] == pytest.approx(sum(right["bare"]) / len(SCENES))
    page = (folder / "report.html").read_text(encoding="utf-8")
    for arm in trial.manifest.arms:
        assert arm.name in page
        assert all(model.sha256 in page for model in arm.models)
    assert "<script" not in page and "data:image" in page
