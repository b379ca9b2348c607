"""The file of the votes: its tables, and transactions on it.

Each call opens the file anew, so that any number of threads and processes may use it at once; a
change is on the disk before its call returns, or has not happened.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from .errors import VotingError
from .vote import ANSWERS

FORMAT = 1
PATIENCE = 30.0
"""Seconds to wait for other writers."""
# Seeds are text: ComfyUI's reach 2^64 - 1, SQLite's integers half of it.
_SCHEMA = (
    """CREATE TABLE secret (only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        value BLOB NOT NULL)""",
    """CREATE TABLE ballots (token TEXT PRIMARY KEY, voter TEXT NOT NULL, number INTEGER NOT NULL,
        prompt TEXT NOT NULL, seed TEXT NOT NULL, left_arm TEXT NOT NULL, right_arm TEXT NOT NULL,
        repeats TEXT REFERENCES ballots (token), UNIQUE (voter, number))""",
    f"""CREATE TABLE votes (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        ballot TEXT NOT NULL REFERENCES ballots (token), voter TEXT NOT NULL,
        prompt TEXT NOT NULL, seed TEXT NOT NULL, left_arm TEXT NOT NULL, right_arm TEXT NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN {ANSWERS}), repeat INTEGER NOT NULL,
        time REAL NOT NULL)""",
    """CREATE TABLE undone (row INTEGER PRIMARY KEY,
        vote TEXT NOT NULL UNIQUE REFERENCES votes (id), time REAL NOT NULL)""",
    """CREATE VIEW standing AS SELECT * FROM votes
        WHERE NOT EXISTS (SELECT 1 FROM undone WHERE undone.vote = votes.id)""",
    *(
        f"""CREATE TRIGGER {table}_{change} BEFORE {change} ON {table}
            BEGIN SELECT RAISE (ABORT, 'rows are only ever added'); END"""
        for table in ("ballots", "votes", "undone")
        for change in ("UPDATE", "DELETE")
    ),
)
_BUSY = ("lock", "busy")

Result = TypeVar("Result")


def change(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Runs work in one transaction, on a file that is made where there is none.

    Waits for other writers; work may then run once more. Raises VotingError.
    """

    def attempt() -> Result:
        with closing(_writer(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                _make(connection)
            _check(connection)
            result = work(connection)
            connection.execute("COMMIT")
            return result

    return _patiently(attempt)


def read(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
    """Runs work on one state of a file that is there, and writes nothing. Raises VotingError.

    None where the file is empty: another process is about to make its tables.
    """

    def attempt() -> Result | None:
        with closing(_reader(path)) as connection:
            connection.execute("BEGIN")
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                return None
            _check(connection)
            return work(connection)

    return _patiently(attempt)


def _patiently(attempt: Callable[[], Result]) -> Result:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except sqlite3.Error as error:
            # SQLite does not wait where another process is just opening or closing the file.
            busy = any(word in str(error) for word in _BUSY)
            if not busy or time.monotonic() > end:
                raise _explained(error) from error
            time.sleep(0.02)


def _writer(path: Path) -> sqlite3.Connection:
    if path.is_symlink():
        raise VotingError("votes.sqlite is a link: put the file itself into the trial.")
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _reader(path: Path) -> sqlite3.Connection:
    """Also of a trial on a medium that cannot be written, where SQLite cannot lock."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():  # votes that the file itself lacks
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
    return connection


def _make(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("INSERT INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))


def _check(connection: sqlite3.Connection) -> None:
    """That the tables are ours to the letter: a foreign file may hold triggers of its own."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    if sorted(sql for (sql,) in found) != sorted(_SCHEMA):
        raise VotingError("votes.sqlite was not made by this version: move it out of the trial.")


def _explained(error: sqlite3.Error) -> VotingError:
    said = str(error)
    if "full" in said:
        return VotingError("The disk is full: make room, then vote on.", 507)
    if any(word in said for word in _BUSY):
        return VotingError("votes.sqlite is in use by another program: try again.", 503)
    if "readonly" in said or "unable to open" in said or "I/O" in said:
        return VotingError("votes.sqlite cannot be used: look at the folder's rights.", 503)
    return VotingError("votes.sqlite is damaged: move it out of the trial.", 500)
