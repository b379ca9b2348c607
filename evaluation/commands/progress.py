"""How far a command is."""

from __future__ import annotations

import sys


class ProgressLine:
    """One line that is written over, or a line every tenth where nobody looks."""

    def __init__(self, name: str = "") -> None:
        self._before = f"{name}: " if name else ""
        self._shown, self._tenth = sys.stderr.isatty(), 0

    def __call__(self, done: int, everything: int) -> None:
        line = f"{self._before}{done} of {everything} pictures"
        if self._shown:
            end = "\n" if done == everything else ""
            print(f"\r{line}", end=end, file=sys.stderr, flush=True)
        elif done * 10 // max(everything, 1) > self._tenth:
            self._tenth = done * 10 // everything
            print(line, file=sys.stderr, flush=True)
