"""The voting page in ComfyUI's sidebar."""

from __future__ import annotations

import re

import pytest
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.tests.evaluation.votes.trials import write_trial
from playwright.sync_api import expect

HINTS = {"en": "Vote blindly", "ja": "条件を知らずに投票"}
FRAME = ".softrepa-vote iframe"
# A class in front-end 1.32.9, a test id in 1.58.1.
TAB = ".softrepa-vote-tab-button, [data-testid='softrepa-vote-tab-button']"


@pytest.mark.parametrize("locale", sorted(HINTS))
def test_a_vote_from_the_sidebar(open_page, base, locale):
    trial = base / "output" / "softrepa" / "trials" / "mine"
    if not trial.exists():
        trial.parent.mkdir(parents=True, exist_ok=True)
        write_trial(trial)
    before = len(read_votes(trial / "votes.sqlite"))
    frontend = open_page(**{"Comfy.Locale": locale})
    tab = frontend.page.locator(TAB)
    expect(tab).to_have_attribute("aria-label", re.compile(HINTS[locale]))
    tab.click()
    frame = frontend.page.frame_locator(FRAME)
    frame.locator("#voter").fill("Ann")
    frame.locator("button.chief").first.click()
    frame.locator("button.picture").first.click()
    expect(frame.locator("#undo")).to_be_enabled()
    for _ in range(400):  # The page goes on before its vote has arrived.
        if len(read_votes(trial / "votes.sqlite")) == before + 1:
            break
        frontend.page.wait_for_timeout(50)
    else:
        pytest.fail("the vote did not arrive")
    # The page has all of the panel.
    shown, whole = (
        frontend.page.locator(name).bounding_box() for name in (FRAME, ".softrepa-vote")
    )
    assert shown["height"] > 600 and shown["width"] == whole["width"]
    frontend.screenshot(f"vote-tab-{locale}")
    link = frontend.page.locator(".softrepa-vote a")
    expect(link).to_have_attribute("href", "/api/softrepa/vote/")
    tab.click()
    expect(frontend.page.locator(".softrepa-vote")).to_have_count(0)
    assert not frontend.complaints()
