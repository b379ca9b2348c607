"""Paths and names as users type them."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput


def expanded(text: str) -> Path:
    """A path with its leading `~` resolved.

    Raises BadInput where it is empty, no system could have such a file, or nobody has that home.
    """
    check_text(text)
    if not text.strip():
        raise BadInput("an empty name is no file or folder")
    if not text.startswith("~"):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = Path(text).parts[0]
        raise BadInput(f"{user} is nobody's home folder; write the path in full") from None


def check_text(text: str) -> None:
    """Raises BadInput where a text cannot be part of a path, a message or an adapter's metadata."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        shown = text.encode("unicode_escape", "replace").decode()
        raise BadInput(f'"{shown}" holds a control character, such as a line break; leave it out')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{text.encode(errors='replace').decode()} is not valid UTF-8") from None
