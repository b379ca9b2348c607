"""Kinds of flags: how each value is read from the command line, and what it may be."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..data import Framing
from ..data.archives.storage import is_remote
from ..errors import BadInput
from .paths import check_text, expanded


def switch(add: Callable[..., object], name: str, default: bool | None, about: str) -> None:
    """Adds --name and --no-name."""
    add(name, action=argparse.BooleanOptionalAction, default=default, help=about)


def whole(least: int) -> Callable[[str], int]:
    """A whole number from `least` up."""

    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, not {text}")
        return value

    read.__name__ = "whole number"
    return read


def whole_or_auto(least: int) -> Callable[[str], int | None]:
    """The same, or "auto", which is None."""
    number_of = whole(least)

    def read(text: str) -> int | None:
        return None if text == "auto" else number_of(text)

    read.__name__ = 'whole number or "auto"'
    return read


def number(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """A number between the two."""

    def read(text: str) -> float:
        value = float(text)
        if not least <= value <= most:
            bounds = f"{least:g} or more" if most == float("inf") else f"{least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"must be {bounds}, not {text}")
        return value

    read.__name__ = "number"
    return read


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
