"""Progress as a bar on a terminal, and as one plain line every so often anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from tqdm import tqdm

SECONDS = 15.0
"""Between two lines where there is no terminal."""


def progress(
    entries: Iterable[Any] | None = None, label: str = "", total: int | None = None, **options: Any
) -> Any:
    """A bar on a terminal, else `Lines`; both are used as tqdm's is.

    options: tqdm's own, of which `Lines` knows those it names and passes over the others.
    """
    file = options.setdefault("file", sys.stderr)
    if options.get("disable") or file.isatty():
        return tqdm(entries, label, total, **options)
    return Lines(entries, label, total, **options)


class Lines:
    """What is done so far, a whole line each time, so that a log file stays one to read.

    The first line comes after SECONDS, the last at the end.
    """

    def __init__(
        self,
        entries: Iterable[Any] | None = None,
        label: str = "",
        total: int | None = None,
        *,
        initial: int = 0,
        unit: str = "",
        leave: bool = True,
        file: TextIO = sys.stderr,
        **passed_over: Any,
    ) -> None:
        sized = total is None and hasattr(entries, "__len__")
        self.total = len(entries) if sized else total
        self.done = self.initial = initial
        self._entries, self._label, self._unit, self._file = entries, label, unit, file
        self._leave, self._note = leave, ""
        self._began = self._written = time.monotonic()
        self._shown: int | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            for entry in self._entries or ():
                yield entry
                self.update()
        finally:
            self.close()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def update(self, count: int = 1) -> None:
        self.done += count
        if time.monotonic() - self._written >= SECONDS:
            self._show()

    def set_postfix_str(self, note: str, refresh: bool = True) -> None:
        """What else the next line says."""
        self._note = note

    def write(self, text: str) -> None:
        """A line of its own, at once."""
        print(text, file=self._file, flush=True)

    def close(self) -> None:
        if self._leave and self.done > self.initial and self._shown != self.done:
            self._show()

    def _show(self) -> None:
        self._written, self._shown = time.monotonic(), self.done
        spent = self._written - self._began
        parts = [f"{self.done}{f'/{self.total}' if self.total else ''} {self._unit}".strip()]
        parts.append(f"{spent:.0f} s")
        if self.total and self.initial < self.done < self.total:
            left = spent / (self.done - self.initial) * (self.total - self.done)
            parts.append(f"{left:.0f} s left")
        parts += [self._note] if self._note else []
        self.write(f"{f'{self._label}: ' if self._label else ''}{', '.join(parts)}")
