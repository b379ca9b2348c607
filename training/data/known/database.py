"""A SQLite file that only saves time: where it cannot be read or written, nothing is known."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_ASKED = 500
"""Paths in one question; SQLite takes 999 at least."""
_WAIT = 30.0
"""Seconds that another process may be writing."""

Stamp = tuple[int, int]


def stamp(file: Path) -> Stamp | None:
    """Size and time of the last change in nanoseconds; None for a name that no text can hold."""
    try:
        os.fspath(file).encode()
        found = file.stat()
    except (OSError, UnicodeEncodeError):
        return None
    return found.st_size, found.st_mtime_ns


@contextlib.contextmanager
def opened(path: Path | None, tables: str) -> Iterator[sqlite3.Connection | None]:
    """The database with these tables, which may be deleted at any moment; None where there is none
    to be had."""
    database = None
    if path is not None:
        with contextlib.suppress(sqlite3.Error, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=_WAIT)
            database.executescript(tables)
    try:
        yield database
    finally:
        if database is not None:
            database.close()


def rows(
    database: sqlite3.Connection, table: str, paths: Iterable[str]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(path, (stamp, what is known ...)) of those that are there."""
    asked = list(paths)
    with contextlib.suppress(sqlite3.Error):
        for start in range(0, len(asked), _ASKED):
            some = asked[start : start + _ASKED]
            marks = ",".join("?" * len(some))
            for path, size, changed, *rest in database.execute(
                f"SELECT * FROM {table} WHERE path IN ({marks})", some
            ):
                yield path, ((size, changed), *rest)


def keep(database: sqlite3.Connection | None, table: str, found: list[tuple]) -> None:
    """Writes the rows in one transaction and forgets them."""
    if database is not None and found:
        marks = ",".join("?" * len(found[0]))
        with contextlib.suppress(sqlite3.Error), database:
            database.executemany(f"REPLACE INTO {table} VALUES ({marks})", found)
    found.clear()
