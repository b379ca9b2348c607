"""A run as ComfyUI shows it: progress, what is left of it, and the curve on the node."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
from PIL import Image

EVENT = "softrepa.train"
"""Our message to the page: {node, step, steps, left, said, previews, curve: {loss, accuracy,
val_loss, val_accuracy: [[step, value], …]}}. Each holds the whole curve, so that a page that was
opened in the meantime lacks nothing. previews: the strip as ComfyUI's /view takes it, or null."""
_SECONDS = 0.5
"""Between two messages."""
_POINTS = 120
"""Of a curve in a message: means over as many parts of the run."""
_CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


class Interrupt:
    """ComfyUI's own interrupt as a `training.run.stopping.Stopping`; its attention raises it."""

    exceptions = (comfy.model_management.InterruptProcessingException,)

    @property
    def asked(self) -> bool:
        return comfy.model_management.processing_interrupted()

    @contextmanager
    def signals(self, say: Callable[[str], None]) -> Iterator[None]:
        yield


class Watch:
    """Tells ComfyUI and the page how far one node's run is."""

    def __init__(self, node: str, steps: int, before: list[dict[str, Any]]) -> None:
        """before: what the log holds of the run that is gone on with."""
        self._node, self._steps = node, steps
        self._points = {name: _points(before, name) for name in _CURVES}
        self._first = before[-1]["step"] if before else 0
        self._bar = comfy.utils.ProgressBar(steps)
        self._began = self._sent = time.monotonic()
        self._encoded: dict[str, int] = {}
        self._strip: dict[str, str] | None = None
        self._last: tuple[int, float | None, str] = (self._first, None, "")

    def encoded(self, count: int, what: str) -> None:
        """So many pictures or captions more have gone through VAE or text encoder."""
        self._encoded[what] = self._encoded.get(what, 0) + count
        self._began = time.monotonic()
        if self._began - self._sent >= _SECONDS:
            self._send(self._first, None, f"{self._encoded[what]} {what} encoded")

    def step(self, entry: Mapping[str, Any]) -> None:
        """A step as the log has it."""
        step = entry["step"]
        for name in _CURVES:
            if isinstance(entry.get(name), float | int):
                self._points[name].append((step, entry[name]))
        self._bar.update_absolute(step, self._steps)
        now = time.monotonic()
        if now - self._sent >= _SECONDS or step == self._steps or "val_loss" in entry:
            left = (now - self._began) / max(1, step - self._first) * (self._steps - step)
            self._send(step, left, f"step {step} of {self._steps}, {_duration(left)} left")

    def show(self, strip: Image.Image) -> None:
        """The previews, as far as they are painted."""
        folder = Path(folder_paths.get_temp_directory())
        folder.mkdir(parents=True, exist_ok=True)
        # A name of its own each time: browsers keep what they have seen under a name.
        name = f"softrepa_previews_{uuid.uuid4().hex}.jpg"
        strip.save(folder / name, quality=85)
        self._strip = {"filename": name, "subfolder": "", "type": "temp"}
        self._send(*self._last)

    def done(self) -> dict[str, Any]:
        """The last message once more, also of a run that had nothing left to do; gives it."""
        step = max((points[-1][0] for points in self._points.values() if points), default=0)
        return self._send(step, 0.0, f"step {step} of {self._steps}")

    def _send(self, step: int, left: float | None, said: str) -> dict[str, Any]:
        """left: seconds, None while nothing is trained yet. said: the same in words."""
        self._sent, self._last = time.monotonic(), (step, left, said)
        curve = {name: _thinned(points) for name, points in self._points.items()}
        told = {"node": self._node, "step": step, "steps": self._steps, "left": left, "said": said}
        told |= {"curve": curve, "previews": self._strip}
        # Imported here: outside a server nothing else needs ComfyUI's.
        from server import PromptServer

        server = getattr(PromptServer, "instance", None)
        if server is not None:  # else nodes are called as a library
            server.send_progress_text(said, self._node)
            server.send_sync(EVENT, told)
        return told


def _points(entries: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(e["step"], e[name]) for e in entries if isinstance(e.get(name), float | int)]


def _thinned(points: list[tuple[int, float]]) -> list[list[float]]:
    size = math.ceil(len(points) / _POINTS) or 1
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [[part[-1][0], sum(value for _, value in part) / len(part)] for part in parts]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
