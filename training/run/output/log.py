"""What a run says about itself: JSON lines, boards where installed, a progress bar."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ...cache.progress import progress
from .boards import Board
from .files import write_whole


class Log:
    """One JSON object a step in `path`; its numbers go to the boards and the bar too.

    A resumed run passes the step it goes on from: what a killed run wrote beyond it is dropped.
    Nothing on the disk changes before the first step. watch: is shown every entry.
    """

    def __init__(
        self,
        path: Path,
        step: int,
        steps: int,
        boards: Sequence[Callable[[], Board | None]] = (),
        watch: Callable[[Mapping[str, Any]], object] = lambda entry: None,
    ) -> None:
        self._watch = watch
        self._path, self._from, self._to_open = path, step, boards
        self._file: IO[str] | None = None
        self._boards: list[Board] = []
        self._bar = progress(total=steps, initial=step, unit="step", dynamic_ncols=True)

    def _open(self) -> IO[str]:
        kept = [line for line, entry in _entries(self._path) if entry["step"] <= self._from]
        write_whole(self._path, "".join(kept).encode())
        self._boards = [board for make in self._to_open if (board := make()) is not None]
        self._file = self._path.open("a", encoding="utf-8")
        return self._file

    def step(self, **entry: Any) -> None:
        """Logs one step; `step`, `loss` and `accuracy` are shown on the bar.

        before: what was so before this step, as of the first the validation. What is no finite
        number becomes null: JSON has no other word for it.
        """
        entry = _finite(entry)
        file = self._file or self._open()
        try:
            file.write(json.dumps(entry) + "\n")
            file.flush()
        except OSError as error:
            error.filename = str(self._path)
            raise
        before = entry.get("before", {})
        now = {name: value for name, value in entry.items() if name != "before"}
        for board in self._boards:
            if before:
                board.add(_scalars(before), entry["step"] - 1)
            board.add(_scalars(now), entry["step"])
        loss = "no number" if entry["loss"] is None else f"{entry['loss']:.4f}"
        self._bar.set_postfix_str(f"loss {loss}, accuracy {entry['accuracy']:.2f}")
        self._bar.update()
        self._watch(entry)

    def say(self, text: str) -> None:
        self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
        for open_one in (self._file, *self._boards):
            if open_one is not None:
                with contextlib.suppress(OSError):  # what found no room has been told of already
                    open_one.close()


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


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scalars(entry: dict[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, dict):
            found |= _scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            found[prefix + name] = value
    return found
