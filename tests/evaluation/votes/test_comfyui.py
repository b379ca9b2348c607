"""The voting page on a running ComfyUI, for the trials below its output folder."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.tests.evaluation.votes.follower import await_votes, open_page, vote
from comfyui_softrepa.tests.evaluation.votes.served import Client, ask
from comfyui_softrepa.tests.evaluation.votes.test_hostile import said
from playwright.sync_api import expect

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def place(server) -> Iterator[Path]:
    """Where trials lie, empty: those that other tests left there lie elsewhere meanwhile."""
    folder = server.base / "output" / "softrepa" / "trials"
    aside = folder.with_name("others")
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
    aside.rename(folder)


@pytest.fixture
def trials(place: Path, untouched_trial: Path) -> Path:
    """The folder of trials, with one that can be voted on and one that cannot."""
    shutil.copytree(untouched_trial, place / "good")
    (place / "bad").mkdir()
    (place / "bad" / "trial.json").write_text("{")
    return place


@pytest.fixture
def address(server) -> str:
    return f"http://{server.address}/softrepa/vote/"


def raw(server, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    connection = http.client.HTTPConnection(server.address, timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


def test_a_vote(server, trials, address):
    moved = raw(server, "GET", "/softrepa/vote")
    assert (moved.status, moved.headers["Location"]) == (308, "vote/")
    page = raw(server, "GET", "/softrepa/vote/")
    assert page.status == 200 and b"page/vote.js" in page.body
    script = raw(server, "GET", "/softrepa/vote/page/vote.js")
    assert script.status == 200 and script.headers["Content-Type"].startswith("text/javascript")
    assert [one["name"] for one in ask(address, "trials")[1]] == ["colours"]
    client = Client(address, "Ann")
    state = client.state()
    while state["ballots"]:
        ballot = state["ballots"][0]["ballot"]
        for side in ("left", "right"):
            found = raw(
                server,
                "GET",
                f"/softrepa/vote/picture?trial={client.trial}&ballot={ballot}&side={side}",
            )
            assert (
                found.body.startswith(b"\x89PNG") and found.headers["Cache-Control"] == "no-store"
            )
            assert not {"ETag", "Last-Modified", "Content-Disposition"} & set(found.headers)
        state = client.send(client.new_vote(ballot))
    assert len(read_votes(trials / "good" / "votes.sqlite")) == len(client.given) >= 6


def test_in_a_browser(server, trials, chromium):
    page = open_page(chromium, f"http://{server.address}/softrepa/vote", "Ann")
    for answer in ("left", "both_bad"):
        vote(page, answer)
    expect(page.locator("#count")).to_have_text("2 of 6")
    assert page.url.endswith("/softrepa/vote/") and not page.problems
    await_votes(trials / "good", ["left", "both_bad"])


def test_hostile_requests(server, trials, address):
    client = Client(address, "Ann")
    given = client.new_vote(client.state()["ballots"][0]["ballot"])
    body = json.dumps(given).encode()
    large = json.dumps({**given, "voter": "x" * 10_000_000}).encode()
    post = ("POST", "/softrepa/vote/vote")
    assert "too large" in said(raw(server, *post, large, **JSON))
    assert "JSON" in said(raw(server, *post, body, **{"Content-Type": "text/plain"}))
    foreign = raw(server, *post, body, Origin="https://elsewhere.example", **JSON)
    assert foreign.status == 403  # by ComfyUI itself, or by the page's own answer
    site = raw(server, *post, body, **{"Sec-Fetch-Site": "cross-site", **JSON})
    assert site.status == 403
    for path in ("trial.json", "../trials/good/trial.json", "%2e%2e/adapter", "votes.sqlite",
                 "page/%2e%2e/answers.py", "pictures/plainmodel/0000-7.png"):  # fmt: skip
        assert raw(server, "GET", f"/softrepa/vote/{path}").status in (400, 404)
    for trial in ("good", "bad", "../trials/good", str(trials / "good")):
        said(raw(server, "POST", "/softrepa/vote/start",
                 json.dumps({"trial": trial, "voter": "Ann"}).encode(), **JSON))  # fmt: skip
    assert read_votes(trials / "good" / "votes.sqlite") == []
    assert str(server.base) not in server.log.read_text().partition("elsewhere.example")[2]


def test_without_trials_there_is_nothing_to_choose(place, address):
    assert ask(address, "trials") == (200, [])
