"""The few calls of ComfyUI's API that painting on a server takes."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from ...errors import EvaluationError

_LARGEST = 512 << 20
"""Bytes of an answer."""
_PATIENCE = 60.0
_WAIT = 30.0
"""Seconds for one answer; a server that hashes or loads may be slow."""


class Server:
    """A running server by its address: host:port, or a URL, also one with a path.

    patience: seconds for which it may be silent, as while it restarts.
    """

    def __init__(self, url: str) -> None:
        address = url if "://" in url else f"http://{url}"
        if not address.startswith(("http://", "https://")):
            raise EvaluationError(f"--server {url[:100]} is no http address.")
        self._url = address.rstrip("/")
        self.patience = _PATIENCE

    def get(self, path: str) -> Any:
        """The JSON of an answer; None where there is nothing of that name."""
        data = self._ask(path)
        return None if data is None else _json(data, self._url)

    def view(self, name: str, subfolder: str) -> bytes | None:
        """A file of the server's output folder; None where there is none."""
        query = {"filename": name, "subfolder": subfolder, "type": "output"}
        return self._ask(f"/view?{urllib.parse.urlencode(query)}")

    def upload(self, folder: str, stem: str, suffix: str, data: bytes) -> str:
        """Puts a file below the server's input folder; gives its name there, made of its hash."""
        name = f"{stem}-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
        fields = {"subfolder": folder, "type": "input", "overwrite": "true"}
        boundary = uuid.uuid4().hex
        begin = f"--{boundary}\r\nContent-Disposition: form-data; name="
        parts = [f'{begin}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()]
        head = f'{begin}"image"; filename="{name}"\r\nContent-Type: application/octet-stream'
        body = b"".join(part.encode() for part in (*parts, f"{head}\r\n\r\n"))
        body += data + f"\r\n--{boundary}--\r\n".encode()
        answer = self._ask(
            "/upload/image", body, f"multipart/form-data; boundary={boundary}", patience=0
        )
        stored = _json(answer or b"{}", self._url)
        if stored.get("name") != name:
            raise EvaluationError(f"{self._url} took no file of prompts.")
        return f"{folder}/{name}"

    def queue(self, graph: Mapping[str, Any], client: str) -> str:
        """Queues a graph; gives its number. Raises EvaluationError with the server's reason."""
        body = json.dumps({"prompt": graph, "client_id": client}).encode()
        answer = self._ask("/prompt", body, patience=0)
        return str(_json(answer or b"{}", self._url).get("prompt_id"))

    def finished(self, number: str) -> bool:
        """Whether a queued graph is done. Raises EvaluationError where it failed or is gone."""
        entry = (self.get(f"/history/{number}") or {}).get(number)
        if entry is None:
            if not self._queued(number) and not self.get(f"/history/{number}"):
                raise EvaluationError(
                    f"{self._url} no longer knows of this trial: it was restarted, or its queue "
                    "cleared; run this again to go on."
                )
            return False
        for kind, told in entry.get("status", {}).get("messages", ()):
            if kind == "execution_error":
                reason = " ".join(str(told.get("exception_message", "")).split())
                raise EvaluationError(f"{self._url}: {reason or 'painting failed; see its log.'}")
            if kind == "execution_interrupted":
                raise EvaluationError(f"{self._url} was interrupted: run this again to go on.")
        return True

    def _queued(self, number: str) -> bool:
        queue = self.get("/queue") or {}
        entries = [*queue.get("queue_running", ()), *queue.get("queue_pending", ())]
        return any(number in entry[:2] for entry in entries)

    def stop(self, number: str) -> None:
        """Takes a graph from the queue, and interrupts it where it runs; says nothing."""
        try:
            self._ask("/queue", json.dumps({"delete": [number]}).encode(), patience=0)
            if self._queued(number):
                self._ask("/interrupt", json.dumps({"prompt_id": number}).encode(), patience=0)
        except EvaluationError:
            pass  # It is gone, or was done already.

    def _ask(
        self,
        path: str,
        body: bytes | None = None,
        content: str = "application/json",
        patience: float | None = None,
    ) -> bytes | None:
        """An answer's bytes; None for 404. Asks again while the server is silent."""
        headers = {"Content-Type": content} if body is not None else {}
        end = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            request = urllib.request.Request(f"{self._url}{path}", body, headers)
            try:
                with urllib.request.urlopen(request, timeout=_WAIT) as response:
                    return response.read(_LARGEST)
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                raise EvaluationError(f"{self._url}: {_reason(error)}") from None
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() >= end:
                    reason = getattr(error, "reason", error)
                    raise EvaluationError(
                        f"{self._url} does not answer ({reason}): start ComfyUI there, then run "
                        "this again."
                    ) from None
                time.sleep(0.5)


def _json(data: bytes, url: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise EvaluationError(f"{url} answers otherwise than ComfyUI does.") from None


def _reason(error: urllib.error.HTTPError) -> str:
    """What ComfyUI says is wrong with a graph, in its own words."""
    try:
        told = json.loads(error.read(_LARGEST))
        nodes = told.get("node_errors") or {}
        details = [each["details"] for node in nodes.values() for each in node["errors"]]
        text = "; ".join(details) or told["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"answers with {error.code} {error.reason}"
    return " ".join(str(text).split())[:400]
