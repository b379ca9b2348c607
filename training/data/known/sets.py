"""What an earlier start found in a whole folder, as long as no file in it has changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import PIL

from ..pairs import Pairs, Source
from ..pictures.images import Look, examined
from ..report import Report
from .database import opened
from .files import Known

_FORMAT = 1
"""Grows when the same files are read differently."""
_TABLES = """
CREATE TABLE IF NOT EXISTS sets (
    number INTEGER PRIMARY KEY, folder TEXT UNIQUE, fingerprint TEXT, report TEXT);
CREATE TABLE IF NOT EXISTS pairs (
    in_set INTEGER, number INTEGER, about BLOB, width INTEGER, height INTEGER, sha256 BLOB,
    PRIMARY KEY (in_set, number)) WITHOUT ROWID;
"""


def fingerprint(root: Path, kinds: frozenset[str]) -> str:
    """One hash of what tells every file below a folder from another: name, size, time, rights.

    kinds: suffixes that are pictures here. Hidden files are left out, as `list_folder` does.
    """
    return fingerprint_of(_lines(root), kinds)


def fingerprint_of(lines: Iterable[str], kinds: frozenset[str]) -> str:
    """One hash of lines that tell files from others."""
    hashed = hashlib.blake2b(f"{_FORMAT} {PIL.__version__} {sorted(kinds)}".encode())
    for line in lines:
        hashed.update(line.encode(errors="surrogateescape"))
    return hashed.hexdigest()


def _lines(root: Path) -> Iterator[str]:
    seen: set[str] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        folder = os.path.join(root, below)
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield f"{below} {error.errno}\n"
            continue
        for entry in inside:
            if entry.name.startswith("."):
                continue
            try:
                found = entry.stat()
            except OSError as error:
                yield f"{below}{entry.name} {error.errno}\n"
                continue
            if entry.is_dir():
                waiting.append(f"{below}{entry.name}/")
            yield f"{below}{entry.name} {found.st_size} {found.st_mtime_ns} {found.st_mode}\n"


def read(known: Known, folder: Source, now: str) -> tuple[Pairs, Report] | None:
    """The folder's pairs and report where it had this fingerprint; None where it is to be read.

    Also None where a picture that could not be decoded now can, as with a package for its format.
    """
    with opened(known.path, _TABLES) as database, contextlib.suppress(sqlite3.Error):
        if database is None:
            return None
        asked = "SELECT number, report FROM sets WHERE folder = ? AND fingerprint = ?"
        found = database.execute(asked, (_name(folder), now)).fetchone()
        if found is None:
            return None
        report = Report.of_json(found[1])
        if any(isinstance(examined(path), Look) for path, _ in report.unreadable):
            return None
        pairs = Pairs()
        asked = "SELECT about, width, height, sha256 FROM pairs WHERE in_set = ? ORDER BY number"
        for about, width, height, sha256 in database.execute(asked, (found[0],)):
            pairs.add(folder, about, (width, height), sha256)
        if len(pairs) == report.pairs:
            return pairs, report
    return None


def keep(known: Known, folder: Source, now: str, pairs: Pairs, report: Report) -> None:
    """Remembers what was found in a folder, in place of what was known of it before."""
    with opened(known.path, _TABLES) as database, contextlib.suppress(sqlite3.Error):
        if database is None or not pairs.hashed:
            return
        with database:
            name = _name(folder)
            asked = "DELETE FROM pairs WHERE in_set IN (SELECT number FROM sets WHERE folder = ?)"
            database.execute(asked, (name,))
            cursor = database.execute(
                "REPLACE INTO sets (folder, fingerprint, report) VALUES (?, ?, ?)",
                (name, now, report.as_json()),
            )
            rows = ((cursor.lastrowid, at, *row) for at, row in enumerate(pairs.rows()))
            database.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?)", rows)


def _name(folder: Source) -> str:
    name = os.path.abspath(folder) if isinstance(folder, Path) else str(folder)
    return os.fsencode(name).hex()
