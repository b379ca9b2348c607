"""Nothing that reaches a browser tells which arm is which."""

from __future__ import annotations

import http.client
import json
import struct
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from comfyui_softrepa.demo import world
from comfyui_softrepa.evaluation.votes.serving.answers import _FILES
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.tests.evaluation.votes.conftest import serving
from comfyui_softrepa.tests.evaluation.votes.trials import (
    ARMS,
    SECRETS,
    write_picture,
    write_trial,
)


class Listener:
    """A client that keeps all it sends and gets: addresses, headers and bodies."""

    def __init__(self, address: str) -> None:
        self.parts = urllib.parse.urlsplit(address)
        self.connection = http.client.HTTPConnection(self.parts.netloc)
        self.heard: list[bytes] = []

    def ask(self, path: str, body: Any = None) -> tuple[list[tuple[str, str]], bytes]:
        """Headers, in their order, without the time of day; and the body."""
        method = "GET" if body is None else "POST"
        data = None if body is None else json.dumps(body)
        sent = {} if body is None else {"Content-Type": "application/json"}
        self.connection.request(method, self.parts.path + path, data, sent)
        response = self.connection.getresponse()
        content = response.read()
        assert response.status == 200, (path, content)
        headers = [(name, value) for name, value in response.getheaders() if name != "Date"]
        self.heard += [path.encode(), repr(headers).encode(), content]
        return headers, content

    def vote_through(self, voter: str, most: int = 99) -> dict[str, tuple[Any, Any]]:
        """Votes until there is nothing left, and gives what came for each side, by ballot."""
        trial = json.loads(self.ask("trials")[1])[0]["id"]
        state = json.loads(self.ask("start", {"trial": trial, "voter": voter})[1])
        got = {}
        while state["ballots"] and len(got) < most:
            ballot = state["ballots"][0]["ballot"]
            got[ballot] = tuple(
                self.ask(f"picture?trial={trial}&ballot={ballot}&side={side}")
                for side in ("left", "right")
            )
            vote = {"trial": trial, "voter": voter, "id": ballot, "ballot": ballot, "answer": "tie"}
            state = json.loads(self.ask("vote", vote)[1])
        return got


def chunks(png: bytes) -> list[bytes]:
    """The names of a PNG's chunks."""
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append(png[at + 4 : at + 8])
        at += length + 12
    return found


def test_no_word_of_an_arm_reaches_the_page(trial, address):
    """All that a whole vote sends and gets, pictures' insides included."""
    listener = Listener(address)
    for path in ("", *(f"page/{name}" for name in _FILES)):
        listener.ask(path)
    got = listener.vote_through("Ann")
    assert len(got) >= 6
    source = (trial / "pictures" / ARMS[1] / "0000-7.png").read_bytes()
    assert ARMS[1].encode() in source  # the pictures do say it before they are served
    everything = b"\n".join(listener.heard)
    for secret in (*SECRETS, str(trial), "pictures/", "0000-7"):
        assert secret.encode() not in everything, secret
    for sides in got.values():
        for _, png in sides:
            assert set(chunks(png)) == {b"IHDR", b"IDAT", b"IEND"}


def test_state_tells_no_more_than_the_page_shows(trial, address):
    listener = Listener(address)
    listener.vote_through("Ann", most=3)
    for heard in listener.heard:
        if heard.startswith(b'{"voter"'):
            state = json.loads(heard)
            assert set(state) == {"voter", "answered", "goal", "last", "ballots"}
            assert all(set(ballot) == {"ballot", "prompt"} for ballot in state["ballots"])


def test_equal_pixels_come_as_equal_bytes_whatever_the_file(tmp_path):
    """Palette, compression, text and time of the file differ by arm; what is served does not."""
    folder = tmp_path / "trial"
    scenes = write_trial(folder)
    for index, scene in enumerate(scenes):
        picture = world.render(scene, np.random.default_rng(index))
        for arm in ARMS:
            path = folder / "pictures" / arm / f"{index:04}-7.png"
            write_picture(path, picture, arm, arm == ARMS[0])
    sizes = {arm: (folder / "pictures" / arm / "0000-7.png").stat().st_size for arm in ARMS}
    assert sizes[ARMS[0]] != sizes[ARMS[1]]
    with serving(folder) as address:
        got = Listener(address).vote_through("Ann")
    assert len(got) >= 6 and all(left == right for left, right in got.values())


def test_headers_of_all_pictures_are_the_same_but_for_the_length(trial, address):
    got = Listener(address).vote_through("Ann")
    headers = {
        tuple((name, value) for name, value in found if name != "Content-Length")
        for sides in got.values()
        for found, _ in sides
    }
    (only,) = headers
    names = {name.lower() for name, _ in only}
    assert not names & {"etag", "last-modified", "content-disposition", "set-cookie", "age"}
    assert dict(only)["Cache-Control"] == "no-store"


def test_an_arm_has_no_side_and_a_token_has_no_order(trial, address):
    tokens = []
    for number in range(12):
        tokens += Listener(address).vote_through(f"voter {number}")
    votes = read_votes(trial / "votes.sqlite")
    left = Counter(vote.left_arm for vote in votes)
    # The secret is another one each time: five standard deviations.
    assert len(votes) >= 72 and abs(left[ARMS[0]] - len(votes) / 2) < 2.5 * len(votes) ** 0.5
    by_token = [
        left for _, left in sorted(zip(tokens, [vote.left_arm for vote in votes], strict=True))
    ]
    half = Counter(by_token[: len(by_token) // 2])
    assert abs(half[ARMS[0]] - len(by_token) / 4) < 2.5 * (len(by_token) / 2) ** 0.5
    assert len(set(tokens)) == len(tokens)


def test_pages_are_not_loaded_into_comfyui():
    """ComfyUI's front-end runs every script below WEB_DIRECTORY as an extension."""
    from comfyui_softrepa import WEB_DIRECTORY
    from comfyui_softrepa.evaluation.votes.serving.answers import PAGE

    root = Path(__file__).resolve().parents[3]
    assert not PAGE.is_relative_to((root / WEB_DIRECTORY).resolve())
    assert {path.name for path in PAGE.iterdir()} == set(_FILES)
