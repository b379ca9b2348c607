"""A SQLite file (WAL) that several processes add to, and that a stranger may have made.

Each call opens the file anew, so that any number of threads and processes may use it at once; a
change is on the disk before its call returns, or has not happened.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

FORMAT = 1
FULL, BUSY, UNUSABLE, DAMAGED, FOREIGN, LINK = (
    "full", "busy", "unusable", "damaged", "foreign", "link"
)  # fmt: skip
"""Why a file cannot be used: no room, another program, no rights, other content, other tables."""
_BUSY = ("lock", "busy")

Result = TypeVar("Result")


def nothing(connection: sqlite3.Connection) -> None:
    """For tables that begin empty."""


@dataclass(frozen=True)
class Tables:
    """What a file holds.

    schema: the statements that make it. explained: the error to raise, by one of the reasons
    above. first: fills new tables.
    """

    schema: tuple[str, ...]
    explained: Callable[[str], Exception]
    first: Callable[[sqlite3.Connection], None] = nothing

    def change(
        self, path: Path, work: Callable[[sqlite3.Connection], Result], patience: float
    ) -> Result:
        """Runs work in one transaction, on a file that is made where there is none.

        patience: seconds to wait for other writers; work may then run once more. Raises what
        `explained` gives.
        """

        def attempt() -> Result:
            with closing(self._writer(path, patience)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    self._make(connection)
                self._check(connection)
                result = work(connection)
                connection.execute("COMMIT")
                return result

        return self._patiently(attempt, patience)

    def read(
        self, path: Path, work: Callable[[sqlite3.Connection], Result], patience: float
    ) -> Result | None:
        """Runs work on one state of a file that is there, and writes nothing. Raises as `change`.

        None where the file is empty: another process is about to make its tables.
        """

        def attempt() -> Result | None:
            with closing(_reader(path, patience)) as connection:
                connection.execute("BEGIN")
                if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    return None
                self._check(connection)
                return work(connection)

        return self._patiently(attempt, patience)

    def _patiently(self, attempt: Callable[[], Result], patience: float) -> Result:
        end = time.monotonic() + patience
        while True:
            try:
                return attempt()
            except sqlite3.Error as error:
                # SQLite does not wait where another process is just opening or closing the file.
                reason = _reason(error)
                if reason != BUSY or time.monotonic() > end:
                    raise self.explained(reason) from error
                time.sleep(0.02)

    def _writer(self, path: Path, patience: float) -> sqlite3.Connection:
        if path.is_symlink():
            raise self.explained(LINK)
        connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self, connection: sqlite3.Connection) -> None:
        for statement in self.schema:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        self.first(connection)

    def _check(self, connection: sqlite3.Connection) -> None:
        """That the tables are ours to the letter: a foreign file may hold triggers of its own."""
        found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if sorted(sql for (sql,) in found) != sorted(self.schema):
            raise self.explained(FOREIGN)


def only_added(*tables: str) -> tuple[str, ...]:
    """Triggers that keep rows of these tables from being changed or deleted."""
    return tuple(
        f"""CREATE TRIGGER {table}_{change} BEFORE {change} ON {table}
            BEGIN SELECT RAISE (ABORT, 'rows are only ever added'); END"""
        for table in tables
        for change in ("UPDATE", "DELETE")
    )


def _reader(path: Path, patience: float) -> sqlite3.Connection:
    """Also of a file on a medium that cannot be written, where SQLite cannot lock."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():  # rows that the file itself lacks
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
    return connection


def _reason(error: sqlite3.Error) -> str:
    said = str(error)
    if "full" in said:
        return FULL
    if any(word in said for word in _BUSY):
        return BUSY
    if "readonly" in said or "unable to open" in said or "I/O" in said:
        return UNUSABLE
    return DAMAGED
