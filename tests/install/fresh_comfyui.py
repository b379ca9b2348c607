"""A ComfyUI in a folder of its own, started as its users start it: `python main.py`."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from comfyui_softrepa.host.server import Server

# Not the models, pictures and packs of a user's own ComfyUI, which COMFYUI_PATH may name.
_LEFT = ("models", "custom_nodes", "input", "output", "temp", "user", ".git", ".venv", "venv")
_MADE = ("models/checkpoints", "custom_nodes", "input", "output")
START_TIMEOUT = 600.0


def copy_comfyui(comfyui: Path, folder: Path) -> Path:
    """ComfyUI's code, copied to `folder`, without models and packs."""
    top = str(comfyui)

    def left(where: str, names: list[str]) -> set[str]:
        return set(_LEFT).intersection(names) if where == top else set()

    shutil.copytree(comfyui, folder, ignore=left)
    for name in _MADE:
        (folder / name).mkdir(parents=True)
    return folder


@contextmanager
def running(
    folder: Path, *, python: Path | str = sys.executable, wrapper: Sequence[str] = ()
) -> Iterator[Server]:
    """Runs the ComfyUI in `folder` until the block ends; `wrapper` is a command before python's.

    Raises RuntimeError with the end of the log where it does not come up.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    command = [*wrapper, str(python), "main.py", "--cpu", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            server = Server(f"127.0.0.1:{port}", folder, log, process)
            _wait(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Server, process: subprocess.Popen) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            server.get("/system_stats")
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-30:])
    raise RuntimeError(f"ComfyUI did not start:\n{tail}")


def log_lines(server: Server) -> set[str]:
    """The lines of the log, with numbers and ComfyUI's folder taken out, so that runs compare."""
    text = server.log.read_text(errors="replace").replace(str(server.base.resolve()), "COMFYUI")
    return {without_numbers(line.strip()) for line in text.splitlines() if line.strip()}


def without_numbers(line: str) -> str:
    """Sizes, versions and times differ between two starts."""
    return re.sub(r"\d+(\.\d+)*", "#", line)
