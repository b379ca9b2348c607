"""A real ComfyUI server as a subprocess, and the API calls that development makes of it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

from .pack import flags

ROOT = Path(__file__).resolve().parent.parent
PACK = "ComfyUI-SoftREPA"
_SHIPPED = ("__init__.py", "pyproject.toml", "softrepa", "injection", "editing", "guidance",
            "nodes", "training", "evaluation", "web", "locales", "example_workflows")  # fmt: skip


class GraphError(RuntimeError):
    """The server refused a graph or a node in it failed; the message is the server's."""


@dataclass(frozen=True)
class Result:
    """One finished prompt. images: node id -> files as the server names them. ran: the nodes that
    were executed, in order; the others came from the cache."""

    images: dict[str, list[dict[str, str]]]
    ran: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """A running server: its address, its base directory (models/, output/, ...), its log and its
    process."""

    address: str
    base: Path
    log: Path
    process: subprocess.Popen

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=60) as response:
            return json.load(response)

    def image(self, entry: dict[str, str]) -> bytes:
        """The bytes of one image of a Result."""
        query = urllib.parse.urlencode(entry)
        with urllib.request.urlopen(f"http://{self.address}/view?{query}", timeout=60) as response:
            return response.read()

    def run(
        self,
        graph: dict[str, Any],
        timeout: float = 600.0,
        on_progress: Callable[[int], object] = lambda step: None,
    ) -> Result:
        """Queues an API-format graph and listens until it has ended. Raises GraphError.

        on_progress: called with the count of each step a node reports.
        """
        client = uuid.uuid4().hex
        connection = websocket.create_connection(
            f"ws://{self.address}/ws?clientId={client}", timeout=timeout
        )
        try:
            return _listen(connection, self.queue(graph, client), on_progress)
        finally:
            connection.close()

    def queue(self, graph: dict[str, Any], client: str = "") -> str:
        """Queues an API-format graph and gives its id in /history. Raises GraphError."""
        return self._post("/prompt", {"prompt": graph, "client_id": client})["prompt_id"]

    def interrupt(self) -> None:
        self._post("/interrupt", {})

    def kill(self) -> None:
        """As kill -9 does; returns once it is gone."""
        self.process.kill()
        self.process.wait()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise GraphError(error.read().decode()) from error


def _listen(
    connection: websocket.WebSocket, prompt: str, on_progress: Callable[[int], object]
) -> Result:
    images: dict[str, list[dict[str, str]]] = {}
    ran: list[str] = []
    while True:
        message = connection.recv()
        if isinstance(message, bytes):
            continue  # a preview image
        event = json.loads(message)
        kind, data = event["type"], event["data"]
        if data.get("prompt_id") != prompt:
            continue
        if kind == "progress":
            on_progress(data["value"])
        elif kind == "executing" and data["node"] is not None:
            ran.append(data["node"])
        elif kind == "executed" and "images" in (data["output"] or {}):
            images[data["node"]] = data["output"]["images"]
        elif kind == "execution_success":
            return Result(images, tuple(ran))
        elif kind in ("execution_error", "execution_interrupted"):
            raise GraphError(data.get("exception_message", "interrupted"))


def install_pack(base: Path) -> None:
    """Copies what a release ships into this base directory's custom_nodes."""
    target = base / "custom_nodes" / PACK
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in _SHIPPED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, target / name)


@contextmanager
def serve(
    comfyui: Path, base: Path, *arguments: str, start_timeout: float = 600.0
) -> Iterator[Server]:
    """Runs ComfyUI on this base directory until the block ends.

    Raises RuntimeError with the end of the log where the server does not come up in time.
    """
    base.mkdir(parents=True, exist_ok=True)
    for folder in ("models", "custom_nodes", "input", "output", "temp", "user"):
        (base / folder).mkdir(exist_ok=True)
    port = _free_port()
    log = base / "server.log"
    command = [sys.executable, "main.py", *flags(), "--disable-api-nodes", "--listen", "127.0.0.1",
               "--port", str(port), "--base-directory", str(base),
               "--database-url", "sqlite:///:memory:", *arguments]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=comfyui, stdout=output, stderr=subprocess.STDOUT)
        try:
            server = Server(f"127.0.0.1:{port}", base, log, process)
            _wait(server, process, start_timeout)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Server, process: subprocess.Popen, timeout: float) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        try:
            server.get("/system_stats")
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-30:])
    raise RuntimeError(f"ComfyUI did not start:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
