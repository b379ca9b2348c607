"""The real page in a real Chromium. Leaves build/votes/*.png to look at."""

from __future__ import annotations

import json
import random
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.host.chromium import FLAGS, locate
from comfyui_softrepa.tests.evaluation.votes.conftest import serving
from comfyui_softrepa.tests.evaluation.votes.follower import (
    READY,
    Follower,
    await_votes,
    open_page,
    truth,
    vote,
)
from comfyui_softrepa.tests.evaluation.votes.served import start
from comfyui_softrepa.tests.evaluation.votes.trials import SECRETS, write_trial
from playwright.sync_api import expect

PICTURES = Path(__file__).resolve().parents[3] / "build" / "votes"
# Everything that the page holds: its text, attributes, addresses and what it stored.
_ALL = """() => [
    document.documentElement.outerHTML, location.href, document.cookie,
    JSON.stringify(localStorage), JSON.stringify(performance.getEntriesByType('resource'))
].join()"""
# Timed in the page itself, which waits longer than this before it takes another vote.
_TWICE = """() => new Promise(done => {
    const picture = document.querySelector('#pictures [data-answer=right]')
    picture.click()
    setTimeout(() => { picture.click(); done() }, 60)
})"""
_OUTSIDE = """() => [...document.querySelectorAll('main:not([hidden]) *')].filter(one => {
    const box = one.getBoundingClientRect()
    return box.width && (box.left < -1 || box.right > innerWidth + 1
        || (one.closest('#vote') && box.bottom > innerHeight + 1))
}).map(one => one.outerHTML.slice(0, 80))"""


def test_two_browsers_at_once_follow_the_judge(playwright, tmp_path):
    scenes = write_trial(tmp_path / "trial", prompts=10)
    by_text = {world.caption(scene): scene for scene in scenes}
    process, address = start(tmp_path / "trial", "--port", "0", "--goal", "8")
    browsers = []
    try:
        for _ in range(2):
            browsers.append(playwright.chromium.launch(executable_path=locate(), args=FLAGS))
        followers = [
            Follower(open_page(browser, address, f"voter {number}"), by_text, random.Random(number))
            for number, browser in enumerate(browsers)
        ]
        while sum(follower.step() for follower in followers):  # one vote of each in turn
            pass
        for follower in followers:
            assert not follower.page.problems
            held = follower.page.evaluate(_ALL)
            assert not [secret for secret in SECRETS if secret in held]
    finally:
        for browser in browsers:
            browser.close()
        process.kill()
        process.wait()
    votes = read_votes(tmp_path / "trial" / "votes.sqlite")
    for number, follower in enumerate(followers):
        assert len(follower.given) == 8
        own = [one for one in votes if one.voter == f"voter {number}"]
        assert [one.answer for one in own] == follower.given
    against = sum(
        one.answer != truth(tmp_path / "trial", scenes[int(one.prompt)], one) for one in votes
    )
    assert against == sum(follower.wrong for follower in followers)


def test_whoever_begins_before_the_trials_are_listed_gets_a_pair(chromium, address):
    """The list does not come the first time, and comes late the second: Begin asks for it."""
    page = open_page(chromium, "about:blank")
    asked = []

    def hold(route):
        asked.append(route)
        if len(asked) == 1:
            route.abort()

    page.route("**/trials", hold)
    page.goto(address)
    page.locator("#voter").fill("Ann")
    expect(page.locator("#notice")).to_contain_text("does not answer")
    for _ in range(2):  # nothing seems to happen, so it is pressed again
        with page.expect_request("**/trials") if len(asked) == 1 else nullcontext():
            page.locator("#start .chief").click()
        expect(page.locator("#notice")).to_be_hidden()
    asked[1].continue_()
    page.locator(READY).first.wait_for()
    assert len(asked) == 2 and page.locator("#trial option").count() == 1


def test_undo_shows_the_pair_again(chromium, trial, address):
    page = open_page(chromium, address, "Ann")
    texts = []
    for answer in ("left", "tie"):
        texts.append(page.locator("#prompt").inner_text())
        vote(page, answer)
    for text, left in ((texts[1], 1), (texts[0], 0)):
        page.locator("#undo").click() if left else page.keyboard.press("Backspace")
        expect(page.locator("#prompt")).to_have_text(text)
        page.locator(READY).first.wait_for()
        assert len(read_votes(trial / "votes.sqlite")) == left
    expect(page.locator("#undo")).to_be_disabled()
    vote(page, "right")
    expect(page.locator("#count")).to_have_text("1 of 6")
    await_votes(trial, ["right"])
    assert not page.problems


def test_one_voter_in_two_windows_votes_once_on_a_pair(chromium, trial, address):
    first, second = (open_page(chromium, address, "Ann") for _ in range(2))
    text = first.locator("#prompt").inner_text()
    expect(second.locator("#prompt")).to_have_text(text)
    vote(first, "left")
    vote(second, "right")  # is refused, for the first one stands
    expect(second.locator("#count")).to_have_text("1 of 6")
    expect(second.locator("#prompt")).to_have_text(first.locator("#prompt").inner_text())
    vote(second, "tie")
    expect(second.locator("#count")).to_have_text("2 of 6")
    await_votes(trial, ["left", "tie"])


def test_a_tap_on_a_picture_is_a_vote_and_a_double_tap_is_one(chromium, trial, address):
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    page = open_page(chromium, address, "Ann", **phone)
    box = page.locator("#pictures .picture").last.bounding_box()
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.touchscreen.tap(*place)
    expect(page.locator("#count")).to_have_text("1 of 6")
    page.locator(READY).first.wait_for()
    page.evaluate(_TWICE)
    expect(page.locator("#count")).to_have_text("2 of 6")
    page.locator(READY).first.wait_for()
    await_votes(trial, ["right", "right"])


def test_votes_given_while_the_server_is_away_arrive_later(chromium, trial):
    process, address = start(trial, "--port", "0")
    port = address.rstrip("/").rsplit(":", 1)[1]
    try:
        page = open_page(chromium, address, "Ann")
        page.wait_for_load_state("networkidle")
        process.kill()
        process.wait()
        vote(page, "left")
        expect(page.locator("#notice")).to_contain_text("does not answer")
        assert read_votes(trial / "votes.sqlite") == []
        page.goto("about:blank")  # the vote outlives the page
        process, _ = start(trial, "--port", port)
        page.goto(address)
        expect(page.locator("#voter")).to_have_value("Ann")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_have_text("1 of 6")
    finally:
        process.kill()
        process.wait()
    await_votes(trial, ["left"])


def test_to_the_end_and_beyond(chromium, trial):
    with serving(trial, goal=2) as address:
        page = open_page(chromium, address, "Ann")
        vote(page, "left")
        vote(page, "right", "click")
        expect(page.locator("#end-text")).to_contain_text("2 votes")
        page.screenshot(path=_shot("end"))
        page.locator("#more").click()
        page.locator(READY).first.wait_for()
        while page.locator("#vote").is_visible():
            vote(page, "tie")
        expect(page.locator("#end-text")).to_contain_text("every pair")
        before = read_votes(trial / "votes.sqlite")
        assert len({one.prompt for one in before}) == 6
        page.locator("#end-undo").click()
        page.locator(READY).first.wait_for()
    assert read_votes(trial / "votes.sqlite") == before[:-1]


def test_prompts_and_names_are_shown_as_text(chromium, trial):
    hostile = "<img src=x onerror=document.body.remove()> & <b>bold</b>"
    manifest = json.loads((trial / "trial.json").read_text())
    for prompt in manifest["prompts"]:
        prompt["text"] = hostile
    (trial / "trial.json").write_text(json.dumps(manifest))
    with serving(trial) as address:
        page = open_page(chromium, address, "Ann")
        expect(page.locator("#prompt")).to_have_text(hostile)
        assert page.locator("#prompt *").count() == 0


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("desktop", {"viewport": {"width": 1440, "height": 900}}, "Equally good"),
        ("desktop-dark-ja", {"viewport": {"width": 1280, "height": 720}, "locale": "ja-JP",
                             "color_scheme": "dark"}, "同程度に良い"),
        ("phone", {"viewport": {"width": 390, "height": 780}, "is_mobile": True,
                   "has_touch": True}, "Equally good"),
        ("phone-dark-ko", {"viewport": {"width": 360, "height": 640}, "is_mobile": True,
                           "has_touch": True, "locale": "ko-KR", "color_scheme": "dark"},
         "비슷하게 좋음"),
        ("phone-lying-zh", {"viewport": {"width": 780, "height": 390}, "is_mobile": True,
                            "has_touch": True, "locale": "zh-CN"}, "同样好"),
    ],
)  # fmt: skip
def test_looks(chromium, trial, address, name, options, word):
    page = open_page(chromium, address, **options)
    page.locator("#start h1").wait_for()
    page.locator("#trial option").first.wait_for(state="attached")
    page.screenshot(path=_shot(f"{name}-start"))
    page.locator("#voter").fill("Ann")
    page.locator("#start .chief").click()
    page.locator(READY).first.wait_for()
    page.screenshot(path=_shot(name))
    expect(page.locator("#answers [data-answer=tie]")).to_contain_text(word)
    assert page.evaluate(_OUTSIDE) == [] and not page.problems
    sizes = [one.bounding_box() for one in page.locator("#pictures .picture").all()]
    assert all(abs(sizes[0][one] - sizes[1][one]) < 1 for one in ("width", "height"))
    assert min(sizes[0]["width"], sizes[0]["height"]) > 130


def test_every_control_has_a_name(chromium, trial, address):
    page = open_page(chromium, address, "Ann")
    assert page.evaluate("document.documentElement.lang") == "en"
    for role, name in (
        ("img", "Picture A"), ("img", "Picture B"), ("button", "A is better"),
        ("button", "Equally good"), ("button", "Both bad"), ("button", "Undo"),
        ("group", "Which picture fits the text better?"),
    ):  # fmt: skip
        assert page.get_by_role(role, name=name).count() >= 1, name


def test_languages_are_complete():
    """Every language has the words of English, with the same blanks."""
    from comfyui_softrepa.evaluation.votes.serving.answers import PAGE

    text = (PAGE / "texts.js").read_text(encoding="utf-8")
    found = {
        code: {
            key: set(re.findall(r"\{\w+\}", words))
            for key, words in re.findall(r"^    (\w+): '(.*)',?$", body, re.M)
        }
        for code, body in re.findall(r"^  (\w\w): \{\n(.*?)\n  \}", text, re.M | re.S)
    }
    assert set(found) == {"en", "ja", "zh", "ko"}
    assert all(words == found["en"] for words in found.values()) and len(found["en"]) > 20
    used = set(re.findall(r"data-(?:text|alt|label)=\"(\w+)\"", (PAGE / "index.html").read_text()))
    assert used <= set(found["en"])


def _shot(name: str) -> Path:
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES / f"{name}.png"
