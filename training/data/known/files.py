"""What is known of files from earlier starts: their hashes, and that pictures decode."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ....softrepa.hashing import content_hash
from ..pictures.images import Look, examined
from .database import keep, opened, rows, stamp

Found = TypeVar("Found")

_TABLES = """
CREATE TABLE IF NOT EXISTS hashes (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER,
    width INTEGER, height INTEGER, animated INTEGER, sha256 TEXT) WITHOUT ROWID;
"""
_KEPT = 4096
"""Findings in one transaction: what a kill can cost."""


class Known:
    """A manifest of files: a SQLite database, by path, size and time of the last change.

    A file that has any of these different is looked at again. The database only saves time: where
    it cannot be read or written, everything is looked at, and it may be deleted at any moment.

    path: the database; None keeps nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def looks(self, images: Sequence[Path]) -> dict[Path, Look | str]:
        """Each picture's look, or why it cannot be decoded, which is tried again each time."""

        def row(look: Look | str) -> tuple | None:
            if isinstance(look, str):
                return None
            return look.width, look.height, look.animated, look.sha256

        def look(width: int, height: int, animated: int, sha256: str) -> Look:
            return Look(width, height, bool(animated), sha256)

        # Without a manifest nobody may ever ask for the hash.
        find = examined if self.path is None else _hashed
        return self._found("pictures", images, find, row, look)

    def hashes(self, files: Sequence[Path]) -> dict[Path, str]:
        """The sha256 of each file's content, in hexadecimal. Raises OSError."""
        return self._found("hashes", files, content_hash, lambda one: (one,), str)

    def _found(
        self,
        table: str,
        files: Sequence[Path],
        find: Callable[[Path], Found],
        row: Callable[[Found], tuple | None],
        value: Callable[..., Found],
    ) -> dict[Path, Found]:
        stamps = {file: found for file in files if (found := stamp(file)) is not None}
        names = {file: os.path.abspath(file) for file in stamps}
        found: dict[Path, Found] = {}
        with opened(self.path, _TABLES) as database:
            known = dict(rows(database, table, names.values())) if database else {}
            for file, now in stamps.items():
                before, *told = known.get(names[file], (None,))
                if before == now:
                    found[file] = value(*told)
            rest = [file for file in files if file not in found]
            new: list[tuple] = []
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                for file, one in zip(rest, pool.map(find, rest), strict=True):
                    found[file] = one
                    told = row(one)
                    if told is not None and file in names:
                        new.append((names[file], *stamps[file], *told))
                    if len(new) == _KEPT:
                        keep(database, table, new)
            keep(database, table, new)
        return {file: found[file] for file in files}


def _hashed(image: Path) -> Look | str:
    """What is seen of a picture, with its hash: it is read only once from a disk."""
    look = examined(image)
    try:
        return look if isinstance(look, str) else replace(look, sha256=content_hash(image))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
