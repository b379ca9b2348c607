"""The file of the votes: its tables, and transactions on it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .. import sqlite as file
from .errors import VotingError
from .vote import ANSWERS

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
    *file.only_added("ballots", "votes", "undone"),
)
_WHY = {
    file.FULL: ("The disk is full: make room, then vote on.", 507),
    file.BUSY: ("votes.sqlite is in use by another program: try again.", 503),
    file.UNUSABLE: ("votes.sqlite cannot be used: look at the folder's rights.", 503),
    file.DAMAGED: ("votes.sqlite is damaged: move it out of the trial.", 500),
    file.FOREIGN: ("votes.sqlite was not made by this version: move it out of the trial.",),
    file.LINK: ("votes.sqlite is a link: put the file itself into the trial.",),
}

Result = TypeVar("Result")


def change(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Runs work in one transaction, on a file that is made where there is none.

    Waits for other writers; work may then run once more. Raises VotingError.
    """
    return _TABLES.change(path, work, PATIENCE)


def read(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
    """Runs work on one state of a file that is there, and writes nothing. Raises VotingError.

    None where the file is empty: another process is about to make its tables.
    """
    return _TABLES.read(path, work, PATIENCE)


def _explained(reason: str) -> VotingError:
    return VotingError(*_WHY[reason])


def _draw_secret(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))


_TABLES = file.Tables(_SCHEMA, _explained, _draw_secret)
