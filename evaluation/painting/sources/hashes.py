"""Hashes of model files, each read once for as long as it stays the same."""

from __future__ import annotations

import functools
import hashlib
import logging
from pathlib import Path

_LARGE = 1 << 30
_BLOCK = 1 << 22


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; remembered until its size or time changes."""
    found = path.stat()
    return _read(path, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=256)
def _read(path: Path, size: int, *changes: int) -> str:
    if size > _LARGE:
        logging.info("SoftREPA: hashing %s (%.1f GB).", path.name, size / _LARGE)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
