"""A line a job, and on a terminal the steps of the job at hand."""

from __future__ import annotations

import sys
import time


class Progress:
    """Counts jobs, some of which are done already."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self._done, self._at_first = total, done, done
        self._began = time.monotonic()
        self._noted = 0
        if done:
            self._line(f"{done} of {total} are there already")

    def note(self, text: str) -> None:
        """What the job at hand does; it is overwritten by what comes next."""
        if sys.stdout.isatty():
            text = f"{self._done + 1}/{self.total} {text}"
            print(f"\r{text:<{self._noted}}", end="", flush=True)
            self._noted = len(text)

    def done(self, name: str) -> None:
        self._done += 1
        spent = time.monotonic() - self._began
        left = spent / (self._done - self._at_first) * (self.total - self._done)
        self._line(f"{self._done}/{self.total} {name}, {spent:.0f} s, {left:.0f} s left")

    def failed(self, name: str, reason: str) -> None:
        self._done += 1
        self.end()
        print(f"{name}: {reason}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clears the note."""
        if self._noted:
            print(f"\r{'':<{self._noted}}\r", end="", flush=True)
        self._noted = 0

    def _line(self, text: str) -> None:
        self.end()
        print(text, flush=True)
