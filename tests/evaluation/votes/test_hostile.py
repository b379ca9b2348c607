"""What no voter would send, and trials that no painter left: one sentence, and nothing happens."""

from __future__ import annotations

import http.client
import json
import shutil
import struct
import urllib.parse
import zlib
from pathlib import Path
from typing import Any

import pytest
from comfyui_softrepa.evaluation.votes.errors import VotingError
from comfyui_softrepa.evaluation.votes.serving.answers import Poll, Request, answer
from comfyui_softrepa.evaluation.votes.store import read_votes
from comfyui_softrepa.evaluation.votes.trial import read_trial, trials_in
from comfyui_softrepa.tests.evaluation.votes.conftest import serving
from comfyui_softrepa.tests.evaluation.votes.served import Client, ask, start, trial_id
from comfyui_softrepa.tests.evaluation.votes.trials import ARMS

JSON = {"content-type": "application/json"}
NAMES = ["", "   ", "x" * 61, "x" * 10_000_000, "<b>Ann</b>", "../../etc", "a\\b", "a\x00b",
         "a\u202eb", "\ud800", None, 7, ["Ann"], {"a": 1}, True]  # fmt: skip
IDENTITIES = ["", "x", "../../../../etc/passwd", "0" * 65, "'; DROP TABLE votes; --", None, 1.5, []]
BALLOTS = ["", "0" * 32, "../0001-7", "0" * 33, None, 3, {}, "'; DROP TABLE votes; --" + "0" * 9]
ANSWERS = ["", "LEFT", "left ", "a", None, 0, ["left"], {"left": 1}, True, "<script>"]


def said(response: Any) -> str:
    """The one sentence of a refusal."""
    assert 400 <= response.status < 600
    body = json.loads(response.body)
    assert set(body) == {"error"} and body["error"].endswith(".") and len(body["error"]) < 200
    return body["error"]


@pytest.fixture
def poll(trial: Path) -> Poll:
    return Poll(trials_in([trial]))


@pytest.fixture
def good(poll: Poll) -> dict[str, Any]:
    """A vote that would be kept."""
    (identity,) = poll.trials
    body = json.dumps({"trial": identity, "voter": "Ann"}).encode()
    state = json.loads(answer(poll, Request("POST", "start", {}, JSON, body)).body)
    return {"trial": identity, "voter": "Ann", "id": "0" * 32,
            "ballot": state["ballots"][0]["ballot"], "answer": "left"}  # fmt: skip


def post(poll: Poll, path: str, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer(poll, Request("POST", path, {}, {**JSON, **headers}, data))


@pytest.mark.parametrize(
    ("field", "values"),
    [("voter", NAMES), ("id", IDENTITIES), ("ballot", BALLOTS), ("answer", ANSWERS),
     ("trial", ["", "../trial", "/etc", None, 3, []])],
)  # fmt: skip
def test_hostile_votes(poll, good, trial, field, values):
    for value in values:
        sentence = said(post(poll, "vote", {**good, field: value}))
        assert str(trial) not in sentence
    assert read_votes(trial / "votes.sqlite") == []
    assert post(poll, "vote", good).status == 200
    assert len(read_votes(trial / "votes.sqlite")) == 1


def test_bodies_that_are_no_votes(poll, good, trial):
    for body in (b"", b"[]", b"7", b"null", b"{", b"\xff\xfe", b"[" * 15_000, b'"x"',
                 b'{"trial":' * 1500, b"x" * 20_000, b"voter=Ann&answer=left"):  # fmt: skip
        said(post(poll, "vote", body))
    assert read_votes(trial / "votes.sqlite") == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example", "host": "127.0.0.1:8190"},
        {"origin": "null", "host": "127.0.0.1:8190"},
        {"origin": "http://[", "host": "127.0.0.1:8190"},
        {"origin": "http://127.0.0.1:9999", "host": "127.0.0.1:8190"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=application/json"},
    ],
)
def test_other_sites_cannot_vote(poll, good, trial, headers):
    for path in ("start", "vote", "undo"):
        said(
            answer(poll, Request("POST", path, {}, {**JSON, **headers}, json.dumps(good).encode()))
        )
    assert read_votes(trial / "votes.sqlite") == []


def test_the_page_itself_can(poll, good):
    own = {"origin": "http://127.0.0.1:8190", "host": "127.0.0.1:8190"}
    assert post(poll, "vote", good, **own).status == 200
    assert post(poll, "vote", good, **{"sec-fetch-site": "same-origin"}).status == 200


@pytest.mark.parametrize(
    "path",
    ["trial.json", "votes.sqlite", "page/", "page/../../trial.py", "page/..%2f..%2ftrial.py",
     "page/vote.js/", "page//etc/passwd", "pictures/plainmodel/0000-7.png", "../", "/", "start",
     "picture/../trial.json", "page/__init__.py", "results", "votes", "report"],
)  # fmt: skip
def test_nothing_else_is_served(poll, good, path):
    assert "nothing here" in said(answer(poll, Request("GET", path)))
    if path != "start":
        said(post(poll, path, good))
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        said(answer(poll, Request(method, path)))


def test_pictures_only_by_ballot(poll, good, trial):
    whole = {"trial": good["trial"], "ballot": good["ballot"], "side": "left"}
    assert answer(poll, Request("GET", "picture", whole)).status == 200
    for field, value in (
        ("side", "../plainmodel"), ("side", "plainmodel"), ("side", ""), ("ballot", "../../x"),
        ("ballot", "f" * 32), ("trial", "../trial"), ("trial", "trial"),
    ):  # fmt: skip
        said(answer(poll, Request("GET", "picture", {**whole, field: value})))
        left_out = {name: given for name, given in whole.items() if name != field}
        said(answer(poll, Request("GET", "picture", left_out)))


def test_links_out_of_the_trial_are_not_followed(poll, good, trial, tmp_path):
    outside = tmp_path / "outside"
    (trial / "pictures" / ARMS[0]).rename(outside)
    (trial / "pictures" / ARMS[0]).symlink_to(outside)
    whole = {"trial": good["trial"], "ballot": good["ballot"]}
    got = [answer(poll, Request("GET", "picture", {**whole, "side": side}))
           for side in ("left", "right")]  # fmt: skip
    assert sorted(response.status for response in got) == [200, 404]
    (trial / "pictures" / ARMS[0]).unlink()
    (trial / "pictures" / ARMS[0]).mkdir()
    for path in outside.iterdir():
        (trial / "pictures" / ARMS[0] / path.name).symlink_to(path)
    got = [answer(poll, Request("GET", "picture", {**whole, "side": side}))
           for side in ("left", "right")]  # fmt: skip
    assert sorted(response.status for response in got) == [200, 404]
    assert json.loads(post(poll, "start", good).body)["ballots"] == []
    shutil.rmtree(trial / "pictures" / ARMS[0])
    (trial / "pictures" / ARMS[0]).symlink_to(trial / "pictures" / ARMS[0])  # in a circle
    assert json.loads(post(poll, "start", good).body)["ballots"] == []


def test_a_picture_that_would_fill_the_memory(poll, good, trial):
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    for path in trial.glob(f"pictures/{ARMS[0]}/*.png"):
        path.write_bytes(bomb)
    whole = {"trial": good["trial"], "ballot": good["ballot"]}
    got = [answer(poll, Request("GET", "picture", {**whole, "side": side})).status
           for side in ("left", "right")]  # fmt: skip
    assert sorted(got) == [200, 404]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["arms"][0].update(name="../../elsewhere"),
        lambda m: m["arms"][0].update(name=".."),
        lambda m: m["arms"][0].update(name="/etc"),
        lambda m: m["arms"][0].update(name="C:\\x"),
        lambda m: m["arms"][0].update(name="a\x00b"),
        lambda m: m["arms"][0].update(name=""),
        lambda m: m["arms"][0].update(name=["a"]),
        lambda m: m["arms"][0].update(name=m["arms"][1]["name"]),
        lambda m: m["prompts"][0].update(id="../../../etc/passwd"),
        lambda m: m["prompts"][0].update(id=m["prompts"][1]["id"]),
        lambda m: m.update(arms=m["arms"][:1]),
        lambda m: m.update(arms="ab"),
        lambda m: m.update(prompts=[]),
        lambda m: m.update(seeds=[]),
        lambda m: m.update(seeds=["../1"]),
        lambda m: m.update(seeds=[float("inf")]),
        lambda m: m.update(seeds=[2**64]),
        lambda m: m["prompts"][0].update(text={"a": 1}),
        lambda m: m.update(name=None),
        lambda m: m.update(seeds=[1, 1]),
        lambda m: m.update(format=99),
        lambda m: m.pop("arms"),
    ],
)
def test_hostile_manifests(trial, change):
    manifest = json.loads((trial / "trial.json").read_text())
    change(manifest)
    (trial / "trial.json").write_text(json.dumps(manifest))
    with pytest.raises(VotingError) as caught:
        read_trial(trial)
    assert str(caught.value).endswith((".", "pack.")) and str(trial) not in str(caught.value)
    assert answer(Poll(trials_in([trial])), Request("GET", "trials")).body == b"[]"


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b"[" * 200_000, b'{"a": ' + b"9" * 5000 + b"}",
             b" " * ((16 << 20) + 1)]
)  # fmt: skip
def test_manifests_that_are_none(trial, text):
    (trial / "trial.json").write_bytes(text)
    with pytest.raises(VotingError):
        read_trial(trial)


def test_html_in_a_prompt_is_text(trial, address):
    manifest = json.loads((trial / "trial.json").read_text())
    for prompt in manifest["prompts"]:
        prompt["text"] = "<img src=x onerror=alert(1)>"
    (trial / "trial.json").write_text(json.dumps(manifest))
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc)
    body = json.dumps({"trial": trial_id(address), "voter": "Ann"})
    connection.request("POST", "/start", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def raw(address: str, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    """The path goes out as it is, with nothing tidied up."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


def test_ten_megabytes_and_no_length(trial, address):
    large = json.dumps({"voter": "x" * 10_000_000}).encode()
    typed = {"Content-Type": "application/json"}
    assert "too large" in said(raw(address, "POST", "/vote", large, **typed))
    chunked = {"Transfer-Encoding": "chunked", **typed}
    assert "length" in said(raw(address, "POST", "/vote", b"5\r\nhello\r\n0\r\n\r\n", **chunked))
    for path in ("/%2e%2e/trial.json", "/../trial.json", "//trial.json", "/page/../../trial.py",
                 "//[", "/?" + "a=1&" * 99):  # fmt: skip
        said(raw(address, "GET", path))
    assert raw(address, "HEAD", "/").status == 405
    client = Client(address, "Ann")
    client.send(client.new_vote(client.state()["ballots"][0]["ballot"]))
    assert len(read_votes(trial / "votes.sqlite")) == 1


def test_without_a_key_it_is_for_this_machine_only(address):
    for host in ("elsewhere.example", "elsewhere.example:8190", "192.168.1.5:8190", "", "["):
        assert "this machine" in said(raw(address, "GET", "/", Host=host))
    for host in ("localhost:8190", "127.0.0.1", "[::1]:8190"):
        assert raw(address, "GET", "/", Host=host).status == 200


def test_with_a_key_only_those_who_have_it(trial):
    with serving(trial, key="k" * 32) as address:
        for path in ("/", "/trials", "/" + "k" * 31 + "/", "/" + "K" * 32 + "/trials", "/%6b/"):
            assert "not whole" in said(raw(address, "GET", path))
        assert ask(address, "trials")[0] == 200


def test_the_command(trial, tmp_path):
    process, address = start(trial, "--lan", "--port", "0", "--goal", "3")
    try:
        assert len(urllib.parse.urlsplit(address).path) == 34
        port = urllib.parse.urlsplit(address).port
        inside = f"http://127.0.0.1:{port}{urllib.parse.urlsplit(address).path}"
        assert Client(inside, "Ann").state()["goal"] == 3
    finally:
        process.terminate()
        process.wait()
    again, address_again = start(trial, "--lan", "--port", "0")
    again.terminate()
    again.wait()
    assert urllib.parse.urlsplit(address_again).path == urllib.parse.urlsplit(address).path


def test_the_command_refuses_in_one_sentence(trial, tmp_path, capsys):
    import argparse

    from comfyui_softrepa.evaluation.votes import command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in trial.glob(f"pictures/{ARMS[0]}/*"):
        path.unlink()
    for folder, sentence in ((empty, "trial.json"), (tmp_path / "no", "trial.json"),
                             (trial, "paint the trial first")):  # fmt: skip
        assert command.run(parser.parse_args([str(folder)])) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert not (trial / "votes.sqlite").exists()
