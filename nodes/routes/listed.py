"""Files by the names under which ComfyUI lists them, and how large one may be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import folder_paths


class FileTooLarge(Exception):
    """The file is larger than what is looked into; the message is for the user."""


def listed_path(folder: str, name: str, listed: Sequence[str]) -> Path:
    """The path of a file of this very name in the list. Raises FileNotFoundError for any other.

    A name that only leads to a listed file, such as one with "..", is not in the list.
    """
    if name not in listed:
        raise FileNotFoundError
    path = folder_paths.get_full_path(folder, name)
    if path is None:
        raise FileNotFoundError
    return Path(path)
