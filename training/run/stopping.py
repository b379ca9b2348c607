"""What a run is part of: a command, which Ctrl-C and SIGTERM end in good order, or a program that
goes on after it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from ..model.base_model import Base


class Stopping(Protocol):
    """asked: whether the run is to end after the step at hand, its state saved. exceptions: what
    may be raised in the midst of a step to the same end; that step is lost then."""

    asked: bool
    exceptions: tuple[type[Exception], ...]

    def signals(self, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Listens in the meantime."""


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


def _unseen(shown: Any) -> None:
    return None


@dataclass(frozen=True)
class Host:
    """base: the model to train for, None where the settings name its files. stop: asks a run to
    end. watch: is shown each step as it is logged, after it was. show: is given the previews as
    one strip, whenever it grows."""

    base: Base | None = None
    stop: Stopping = field(default_factory=Stop)
    watch: Callable[[Mapping[str, Any]], object] = _unseen
    show: Callable[[Image.Image], object] = _unseen
