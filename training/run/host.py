"""What a run is part of: a command of its own, or a program that goes on after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image

from ..model.base_model import Base
from .stopping import Stop


class Stopping(Protocol):
    """asked: whether the run is to end after the step at hand, its state saved. exceptions: what
    may be raised in the midst of a step to the same end; that step is lost then."""

    asked: bool
    exceptions: tuple[type[Exception], ...]

    def signals(self, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Listens in the meantime."""


def _unseen(shown: Any) -> None:
    return None


@dataclass(frozen=True)
class Host:
    """base: the model to train for, None where the settings name its files. stop: asks a run to
    end. watch: is shown each step as it is logged, after it was. show: is given the newest
    previews."""

    base: Base | None = None
    stop: Stopping = field(default_factory=Stop)
    watch: Callable[[Mapping[str, Any]], object] = _unseen
    show: Callable[[Image.Image], object] = _unseen
