"""What a run says about itself: JSON lines, TensorBoard where installed, a progress bar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .files import write_whole
from .progress import progress


class Log:
    """One JSON object a step in `path`; its numbers go to TensorBoard and the bar too.

    A resumed run passes the step it goes on from: what a killed run wrote beyond it is dropped.
    """

    def __init__(self, path: Path, step: int, steps: int, tensorboard: bool) -> None:
        kept = [line for line, entry in _entries(path) if entry["step"] <= step]
        write_whole(path, "".join(kept).encode())
        self._file = path.open("a", encoding="utf-8")
        self._board = _board(path, step) if tensorboard else None
        self._bar = progress(total=steps, initial=step, unit="step", dynamic_ncols=True)

    def step(self, **entry: Any) -> None:
        """Logs one step; `step`, `loss` and `accuracy` are shown on the bar."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in _scalars(entry):
                self._board.add_scalar(name, value, entry["step"])
        self._bar.set_postfix_str(f"loss {entry['loss']:.4f}, accuracy {entry['accuracy']:.2f}")
        self._bar.update()

    def say(self, text: str) -> None:
        self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
        self._file.close()
        if self._board is not None:
            self._board.close()


class Silence:
    """The log of every process but the first."""

    def step(self, **entry: Any) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def close(self) -> None:
        return None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The logged steps, in order; a line cut short by a kill is left out."""
    return [entry for _, entry in _entries(path)]


def _entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if line.endswith("\n") and isinstance(entry, dict) and "step" in entry:
                found.append((line, entry))
    return found


def _board(path: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(path.with_suffix("").with_suffix(".tensorboard")), purge_step=step + 1)


def _scalars(entry: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in entry.items():
        if isinstance(value, dict):
            found += _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            found.append((prefix + name, value))
    return found
