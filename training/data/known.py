"""What is known of files from earlier starts: their hashes, and that pictures decode."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ...softrepa.hashing import content_hash
from .pictures.images import Look, examined

Found = TypeVar("Found")

_TABLES = """
CREATE TABLE IF NOT EXISTS hashes (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER,
    width INTEGER, height INTEGER, animated INTEGER) WITHOUT ROWID;
"""
_ASKED = 500
"""Paths in one question; SQLite takes 999 at least."""
_KEPT = 4096
"""Findings in one transaction: what a kill can cost."""
_WAIT = 30.0
"""Seconds that another process may be writing."""


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
            return (look.width, look.height, look.animated) if isinstance(look, Look) else None

        def look(width: int, height: int, animated: int) -> Look:
            return Look(width, height, bool(animated))

        return self._found("looks", images, examined, row, look)

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
        stamps = {file: stamp for file in files if (stamp := _stamp(file)) is not None}
        names = {file: os.path.abspath(file) for file in stamps}
        found: dict[Path, Found] = {}
        with self._open() as database:
            known = dict(_rows(database, table, names.values())) if database else {}
            for file, stamp in stamps.items():
                before, *told = known.get(names[file], (None,))
                if before == stamp:
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
                        _keep(database, table, new)
            _keep(database, table, new)
        return {file: found[file] for file in files}

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection | None]:
        database = None
        if self.path is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                database = sqlite3.connect(self.path, timeout=_WAIT)
                database.executescript(_TABLES)
        try:
            yield database
        finally:
            if database is not None:
                database.close()


def _stamp(file: Path) -> tuple[int, int] | None:
    """Size and time of the last change in nanoseconds; None for a name that no text can hold."""
    try:
        os.fspath(file).encode()
        found = file.stat()
    except (OSError, UnicodeEncodeError):
        return None
    return found.st_size, found.st_mtime_ns


def _rows(
    database: sqlite3.Connection, table: str, paths: Iterable[str]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(path, ((size, changed), what is known ...)) of those that are there."""
    asked = list(paths)
    with contextlib.suppress(sqlite3.Error):
        for start in range(0, len(asked), _ASKED):
            some = asked[start : start + _ASKED]
            marks = ",".join("?" * len(some))
            for path, size, changed, *rest in database.execute(
                f"SELECT * FROM {table} WHERE path IN ({marks})", some
            ):
                yield path, ((size, changed), *rest)


def _keep(database: sqlite3.Connection | None, table: str, rows: list[tuple]) -> None:
    """Writes the rows in one transaction and forgets them."""
    if database is not None and rows:
        marks = ",".join("?" * len(rows[0]))
        with contextlib.suppress(sqlite3.Error), database:
            database.executemany(f"REPLACE INTO {table} VALUES ({marks})", rows)
    rows.clear()
