"""`pilot.md`: the checklist in words, ticked by people while a pilot goes on."""

from __future__ import annotations

import re
from pathlib import Path

NAME = "pilot.md"
LARGEST = 256 << 10
"""Bytes that are read."""
_ITEM = re.compile(r"\s*[-*+] \[([ xX])\]\s+(.+)")
_BOLD = re.compile(r"\*\*(.+?)\*\*")


def unticked(folder: Path) -> list[str] | None:
    """What is not ticked in a folder's checklist, each by its words in bold, else its line.

    None where there is no checklist.
    """
    path = Path(folder) / NAME
    try:
        if path.is_symlink():
            return None
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return None
    found = (_ITEM.match(line) for line in text.splitlines())
    return [_named(item[2]) for item in found if item and item[1] == " "]


def _named(words: str) -> str:
    bold = _BOLD.search(words)
    named = (bold[1] if bold else words).strip().rstrip(".:\u3002\uff1a")
    return named if len(named) <= 80 else f"{named[:77]}..."
