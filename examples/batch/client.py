"""Runs jobs on a ComfyUI server that may drop connections or restart, each exactly once.

Nothing is remembered here: before a job is queued the server is asked whether it waits, has run, or
has left its pictures in the output folder. Prompt ids follow from the job, so that an answer that
was lost on the way does not matter.
"""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import websocket

if TYPE_CHECKING:
    from batch import Job

Value = TypeVar("Value")
_LOST = (OSError, http.client.HTTPException, websocket.WebSocketException)
_ENDS = ("execution_success", "execution_error", "execution_interrupted")
_POLL_SECONDS = 5.0
_REFUSALS = (400, 401, 403, 405, 413)
"""Answers that another try would get again."""
_LONGEST = 400
"""Characters of a refusal that are shown; a server lists all of a thousand files in it."""


class Failed(Exception):
    """The server refused a job or a node of it failed; the message is the server's."""


class Client:
    """One server. patience: seconds it may be gone before the batch gives up with an OSError.

    address: host:port, or an address such as https://host/path. Raises ValueError on another.
    """

    def __init__(self, address: str, patience: float) -> None:
        whole = address if "://" in address else f"http://{address}"
        parts = urllib.parse.urlsplit(whole)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'"{address}" is no server: write host:port or https://host/path.')
        place = f"{parts.netloc}{parts.path.rstrip('/')}"
        self.http = f"{parts.scheme}://{place}"
        self.events = f"{'wss' if parts.scheme == 'https' else 'ws'}://{place}/ws"
        self.patience = patience
        self._id = uuid.uuid4().hex
        self._events: websocket.WebSocket | None = None

    def submit(self, job: Job) -> None:
        """Queues the job unless it waits, runs or has run already. Raises Failed."""
        self._patiently(lambda: self._submit(job))

    def _submit(self, job: Job) -> None:
        self._listen()  # before queueing, so that no event is missed
        if self._waits(job) or self._found(job):
            return
        body = {"prompt": job.graph, "client_id": self._id, "prompt_id": job.prompt_id}
        self._request("/prompt", json.dumps(body).encode())

    def fetch(self, job: Job, show: Callable[[str], None]) -> list[bytes]:
        """Waits until the job has run, and gives its pictures. Raises Failed."""
        while True:
            pictures = self._patiently(lambda: self._result(job))
            if pictures is not None:
                return pictures
            self._wait(job, show)

    def _result(self, job: Job) -> list[bytes] | None:
        if self._waits(job):
            return None
        status = self._history(job)
        if status and not status["completed"]:
            raise Failed(_reason(status))
        found = self._found(job)
        if found is None and status:
            raise Failed("its pictures are gone from the server's output folder; restart ComfyUI")
        if found is None:  # a restarted server has forgotten it
            self._submit(job)
        return found

    def _waits(self, job: Job) -> bool:
        queue = json.loads(self._request("/queue"))
        waiting = queue["queue_running"] + queue["queue_pending"]
        return any(item[1] == job.prompt_id for item in waiting)

    def _history(self, job: Job) -> dict[str, Any]:
        entry = json.loads(self._request(f"/history/{job.prompt_id}")).get(job.prompt_id, {})
        return entry.get("status") or {}

    def _found(self, job: Job) -> list[bytes] | None:
        """The job's pictures in the server's output folder, if they are all there and whole."""
        subfolder, _, name = job.prefix.rpartition("/")
        whole = []
        for number in itertools.count(1):
            query = {"filename": f"{name}_{number:05}_.png", "subfolder": subfolder}
            try:
                data = self._request(f"/view?{urllib.parse.urlencode(query)}")
            except FileNotFoundError:
                break
            if data[-8:-4] == b"IEND":  # a server that was killed may leave part of a picture
                whole.append(data)
        return whole[-job.pictures :] if len(whole) >= job.pictures else None

    def _wait(self, job: Job, show: Callable[[str], None]) -> None:
        """Returns when the job has ended, or after a while, or when the connection is lost."""
        end = time.monotonic() + _POLL_SECONDS
        try:
            while time.monotonic() < end:
                message = self._listen().recv()
                event = json.loads(message) if isinstance(message, str) and message else {}
                data = event.get("data", {})
                if event.get("type") == "progress":
                    show(f"step {data['value']}/{data['max']}")
                if event.get("type") in _ENDS and data.get("prompt_id") == job.prompt_id:
                    return
        except websocket.WebSocketTimeoutException:
            return
        except _LOST:
            self._events = None
            time.sleep(0.5)

    def _listen(self) -> websocket.WebSocket:
        if self._events is None:
            address = f"{self.events}?clientId={self._id}"
            self._events = websocket.create_connection(address, timeout=_POLL_SECONDS)
        return self._events

    def _request(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"{self.http}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(path) from error
            if error.code in _REFUSALS:
                raise Failed(_refusal(error)) from error
            raise

    def _patiently(self, action: Callable[[], Value]) -> Value:
        end = time.monotonic() + self.patience
        while True:
            try:
                return action()
            except FileNotFoundError:
                raise
            except _LOST as error:
                self._events = None
                wrong = getattr(error, "reason", error)
                if time.monotonic() > end or isinstance(wrong, ssl.SSLCertVerificationError):
                    raise OSError(error) from error
                time.sleep(0.5)


def _refusal(error: urllib.error.HTTPError) -> str:
    """What a server says of a graph that it does not take, in a line."""
    text = error.read().decode(errors="replace")
    try:
        answer = json.loads(text)
        found = [
            f"{node['class_type']}: {each['message']} ({each['details']})"
            for node in answer["node_errors"].values()
            for each in node["errors"]
        ]
        told = "; ".join(found) or answer["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        told = " ".join(text.split()) or error.reason
    shown = told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
    return f"the server refuses it ({error.code}): {shown}"


def _reason(status: dict[str, Any]) -> str:
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            return f"{data['node_type']}: {data['exception_message'].strip()}"
        if kind == "execution_interrupted":
            return "interrupted"
    return "failed"
