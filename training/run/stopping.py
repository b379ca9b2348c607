"""Ctrl-C and SIGTERM end a run in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """asked: whether the run is to end after the step at hand; a second signal ends it at once.
    exceptions: what else ends a run, in the midst of a step."""

    asked: bool = False
    exceptions: tuple[type[Exception], ...] = ()

    @contextmanager
    def signals(self, say: Callable[[str], None]) -> Iterator[None]:
        """Listens in the meantime. Raises KeyboardInterrupt at the second signal."""

        def ask(number: int, frame: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            say("Stopping after this step; press Ctrl-C again to stop at once.")

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
