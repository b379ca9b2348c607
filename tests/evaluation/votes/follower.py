"""The voting page as people use it, and a voter who follows the judge with some error."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.world.judge import judge
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.evaluation.votes.vote import ANSWERS, Vote
from PIL import Image
from playwright.sync_api import Browser, Page, expect

SLOW = 120_000
"""Milliseconds to wait for anything."""
expect.set_options(timeout=60_000)
ERROR = 0.1
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowUp", "both_bad": "ArrowDown"}
READY = "#vote:not([hidden]) #answers button:enabled"
_PIXELS = """() => [...document.querySelectorAll('#pictures img')].map(image => {
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight)
    const pen = canvas.getContext('2d')
    pen.drawImage(image, 0, 0)
    return [...pen.getImageData(0, 0, canvas.width, canvas.height).data]
})"""


def open_page(browser: Browser, address: str, voter: str = "", **options) -> Page:
    """The page, begun where there is a voter."""
    page = browser.new_context(**{"locale": "en-US", **options}).new_page()
    page.set_default_timeout(SLOW)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda one: one.type == "error" and page.problems.append(one.text))
    page.goto(address)
    if voter:
        page.locator("#voter").fill(voter)
        page.locator("#start .chief").click()
        page.locator(READY).first.wait_for()
    return page


def vote(page: Page, answer: str, how: str = "key") -> None:
    """Answers the pair on the screen, and waits for the next one or the end."""
    before = page.locator("#pictures img").first.get_attribute("src")
    if how == "key":
        page.keyboard.press(KEYS[answer])
    else:
        page.locator(f"#answers [data-answer={answer}]").click()
    page.wait_for_function(
        """before => !document.querySelector('#end').hidden || (
            document.querySelector('#pictures img').src !== before
            && document.querySelector('#answers button:enabled'))""",
        arg=before,
    )


def await_votes(trial: Path, answers: list[str]) -> None:
    """That these are the standing votes, once what the page sends behind its back is there."""
    end = time.monotonic() + SLOW / 1000
    while (found := [one.answer for one in read_votes(trial / "votes.sqlite")]) != answers:
        assert time.monotonic() < end, found
        time.sleep(0.05)


@dataclass
class Follower:
    """A voter that judges the pixels on its screen, with some error. wrong: its votes against
    the judge; given: all of them."""

    page: Page
    scenes: dict[str, world.Scene]
    random: random.Random
    given: list[str] = field(default_factory=list)
    wrong: int = 0

    def step(self) -> bool:
        """One vote; whether there was a pair to vote on."""
        if self.page.locator("#end").is_visible():
            return False
        scene = self.scenes[self.page.locator("#prompt").inner_text()]
        size = world.SIZE
        sides = [
            judge(np.array(pixels, np.uint8).reshape(size, size, 4)[..., :3], scene).all
            for pixels in self.page.evaluate(_PIXELS)
        ]
        answer = verdict(*sides)
        if self.random.random() < ERROR:
            self.wrong += 1
            answer = self.random.choice([one for one in ANSWERS if one != answer])
        vote(self.page, answer, "key" if len(self.given) % 2 else "click")
        self.given.append(answer)
        return True


def verdict(left: bool, right: bool) -> str:
    return {(True, False): "left", (False, True): "right", (True, True): "tie"}.get(
        (left, right), "both_bad"
    )


def truth(folder: Path, scene: world.Scene, one: Vote) -> str:
    """What the judge says of the files behind a vote on this scene."""
    name = f"{one.prompt}-{one.seed}.png"
    sides = [
        Image.open(folder / "pictures" / arm / name).convert("RGB")
        for arm in (one.left_arm, one.right_arm)
    ]
    return verdict(*(judge(np.asarray(side), scene).all for side in sides))
