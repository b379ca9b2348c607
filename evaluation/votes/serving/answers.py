"""A request of the voting page, and its response; what carries them is elsewhere.

Below whatever address the page has:

GET  ""                                  the page
GET  page/<file>                         its script, style and words
GET  trials                              [{"id", "name"}], those that can be voted on
POST start {"trial", "voter"}            what the voter sees: see voting.state
POST vote  {"trial", "voter", "id", "ballot", "answer"}     keeps a vote, then the same
POST undo  {"trial", "voter", "id"}      takes a vote back, then the same
GET  picture?trial=T&ballot=B&side=S     a PNG

An error is {"error": one sentence}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import voting
from ..errors import VotingError
from ..trial import VotedTrial, read_trial

LARGEST_BODY = 16 << 10
"""Bytes of a request; a vote has 300."""
PAGE = Path(__file__).parent / "page"
_FILES = {
    "index.html": "text/html; charset=utf-8",
    "vote.css": "text/css; charset=utf-8",
    "vote.js": "text/javascript; charset=utf-8",
    "pairs.js": "text/javascript; charset=utf-8",
    "remembered.js": "text/javascript; charset=utf-8",
    "outbox.js": "text/javascript; charset=utf-8",
    "texts.js": "text/javascript; charset=utf-8",
}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
}
"""Of every response, so that no header tells one picture from another."""


@dataclass(frozen=True)
class Request:
    """path: below the page's address, without a leading slash. headers: names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    status: int
    content_type: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {**HEADERS, "Content-Type": self.content_type}


@dataclass(frozen=True)
class Poll:
    """What may be voted on. trials: id -> folder. goal: votes asked of each voter; None: as many
    as there are prompts."""

    trials: Mapping[str, Path]
    goal: int | None = None


def answer(poll: Poll, request: Request) -> Response:
    """Never raises: what cannot be done is a response too."""
    try:
        if request.method == "GET":
            return _get(poll, request)
        if request.method == "POST":
            return _post(poll, request)
        return refusal("The voting page is asked by GET and POST.", 405)
    except VotingError as error:
        return refusal(str(error), error.status)
    except OSError:
        return refusal("The trial's folder cannot be read or written now.", 503)


def refusal(sentence: str, status: int) -> Response:
    return _json({"error": sentence}, status)


def _get(poll: Poll, request: Request) -> Response:
    path = request.path
    if path == "":
        return _page_file("index.html")
    if path.startswith("page/") and path.removeprefix("page/") in _FILES:
        return _page_file(path.removeprefix("page/"))
    if path == "trials":
        return _json(_listed(poll))
    if path == "picture":
        trial = _trial(poll, request.query.get("trial"))
        png = voting.picture(trial, request.query.get("ballot"), request.query.get("side"))
        return Response(200, "image/png", png)
    raise VotingError("There is nothing here.", 404)


def _post(poll: Poll, request: Request) -> Response:
    if request.path not in ("start", "vote", "undo"):
        raise VotingError("There is nothing here.", 404)
    asked = _asked(request)
    trial, voter = _trial(poll, asked.get("trial")), asked.get("voter")
    if request.path == "vote":
        voting.give(trial, voter, asked.get("id"), asked.get("ballot"), asked.get("answer"))
    elif request.path == "undo":
        voting.undo(trial, voter, asked.get("id"))
    return _json(voting.state(trial, voter, poll.goal))


def _asked(request: Request) -> Mapping[str, Any]:
    """The body of a request that the page itself sent, and no other site."""
    if not is_own(request.headers):
        raise VotingError("Votes are taken from the voting page only.", 403)
    # A form of another site cannot send this type, and a script of another site may not.
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise VotingError("The request must be JSON.", 415)
    if len(request.body) > LARGEST_BODY:
        raise VotingError("The request is too large.", 413)
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise VotingError("The request must be a JSON object.")
    return asked


def is_own(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that the request comes from a page of this very server."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:  # no address at all
        return False


def _trial(poll: Poll, identity: Any) -> VotedTrial:
    if not isinstance(identity, str) or identity not in poll.trials:
        raise VotingError("There is no such trial.", 404)
    return read_trial(poll.trials[identity])


def _listed(poll: Poll) -> list[dict[str, str]]:
    found = []
    for identity, folder in poll.trials.items():
        try:
            found.append({"id": identity, "name": read_trial(folder).name})
        except VotingError:
            pass  # a trial that cannot be read is for its owner to mend, not for the voters
    return sorted(found, key=lambda one: one["name"])


def _page_file(name: str) -> Response:
    return Response(200, _FILES[name], (PAGE / name).read_bytes())


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, "application/json; charset=utf-8", json.dumps(value).encode())
