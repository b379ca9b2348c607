"""Hashes of files, which may be large."""

from __future__ import annotations

import functools
import hashlib
import logging
from pathlib import Path

_LARGE = 1 << 30
_BLOCK = 1 << 20

State = tuple[str, int, int, int]
"""A file, and what tells that it changed on disk. A replaced file has another number, even where
time and size are the same."""


def state_of(path: Path) -> State:
    """Raises OSError where there is no such file."""
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino


def content_hash(*paths: Path) -> str:
    """SHA-256 in hexadecimal: of a file, or of several as if they were one."""
    hashed = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hashed.update(block)
    return hashed.hexdigest()


def remembered_hash(*paths: Path) -> str:
    """The same, read once for as long as the files stay as they are."""
    return _remembered(tuple(map(state_of, paths)))


@functools.lru_cache(maxsize=256)
def _remembered(states: tuple[State, ...]) -> str:
    for name, _, size, _ in states:
        if size > _LARGE:
            logging.info("SoftREPA: hashing %s (%.1f GB).", Path(name).name, size / _LARGE)
    return content_hash(*(Path(name) for name, *_ in states))
