"""Kinds of flags: how each value is read from the command line, and what it may be."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data import Framing
from ..data.archives.storage import is_remote
from ..errors import BadInput
from .paths import check_text, expanded


def switch(add: Callable[..., object], name: str, default: bool | None, about: str) -> None:
    """Adds --name and --no-name."""
    add(name, action=argparse.BooleanOptionalAction, default=default, help=about)


@dataclass(frozen=True)
class Number:
    """Reads a number between the two; with `auto` the word too, which is None."""

    kind: type[int] | type[float]
    least: float
    most: float = math.inf
    auto: bool = False

    @property
    def __name__(self) -> str:
        """What argparse calls it in "invalid ... value"."""
        named = "whole number" if self.kind is int else "number"
        return f'{named} or "auto"' if self.auto else named

    def __call__(self, text: str) -> int | float | None:
        if self.auto and text == "auto":
            return None
        value = self.kind(text)
        if not self.least <= value <= self.most:
            least, most = f"{self.least:g}", f"{self.most:g}"
            bounds = f"{least} or more" if self.most == math.inf else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"must be {bounds}, not {text}")
        return value


def whole(least: int) -> Number:
    """A whole number from `least` up."""
    return Number(int, least)


def whole_or_auto(least: int) -> Number:
    """The same, or "auto", which is None."""
    return Number(int, least, auto=True)


def number(least: float, most: float = math.inf) -> Number:
    """A number between the two."""
    return Number(float, least, most)


def resolution(text: str) -> int:
    """A side in pixels that pictures can be framed to."""
    value = int(text)
    Framing(value)
    return value


resolution.__name__ = "whole number"


def path(given: str) -> Path:
    """A path, its leading ~ resolved."""
    try:
        return expanded(given)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def source(given: str) -> Path | str:
    """A path, or the address of data that lies elsewhere."""
    return text(given) if is_remote(given) else path(given)


source.__name__ = "path or address"


def text(given: str) -> str:
    """A text without control characters."""
    try:
        check_text(given)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return given
