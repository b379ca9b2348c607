"""What lies in a cache folder, without its shards being read again at every start."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.known.database import Stamp, keep, opened, stamp
from ..errors import BadInput
from . import shards
from .places import Places, packed

NAME = ".catalog.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS shards (
    name TEXT PRIMARY KEY, size INTEGER, changed INTEGER,
    kind TEXT, model TEXT, model_name TEXT, keys BLOB, shapes TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Listed:
    """A shard that was sound when it had this size and time. shapes: as `Places.add` takes them."""

    path: Path
    stamp: Stamp
    kind: str
    model: str
    model_name: str
    keys: bytes
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, shard: shards.Shard) -> Listed | None:
        """None where the file is gone."""
        now = stamp(shard.path)
        if now is None:
            return None
        shapes = tuple(tuple(each["shape"]) for each in shard.entries.values())
        keys = packed(shard.entries)
        return cls(shard.path, now, shard.kind, shard.model, shard.model_name, keys, shapes)


class Catalog:
    """The shards of a folder. What is known of one holds for as long as its size and time do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[Path, Listed] = {}

    def refresh(self) -> list[Path]:
        """Looks what is there; gives the shards of which nothing is known, in order of names."""
        self._found = {}  # let go of before as much is read again
        rows = dict(self._rows())
        unknown = []
        for path in shards.paths(self.folder):
            row = rows.get(path.name)
            if row is not None and row.stamp == stamp(path):
                self._found[path] = row
            else:
                unknown.append(path)
        return unknown

    def take(self, found: Iterable[shards.Shard]) -> None:
        """Notes shards that are sound, for this start and the next ones."""
        listed = [one for one in map(Listed.of, found) if one is not None]
        self._found |= {one.path: one for one in listed}
        rows = [
            (each.path.name, *each.stamp, each.kind, each.model, each.model_name, each.keys,
             _packed_shapes(each.shapes))
            for each in listed
        ]  # fmt: skip
        with opened(self.folder / NAME, _TABLES) as database:
            keep(database, "shards", rows)

    def check(self, model: str) -> None:
        """Raises BadInput where a shard that is known comes from another model."""
        for each in self._found.values():
            if each.model != model:
                raise another_model(self.folder, each.model_name)

    def places(self) -> dict[str, Places]:
        """Where every entry lies, by kind. What was found is let go of."""
        found = {kind: Places() for kind in shards.KINDS}
        for path in sorted(self._found):
            one = self._found[path]
            found[one.kind].add(path, one.keys, one.shapes)
        self._found.clear()
        for each in found.values():
            each.sort()
        return found

    def _rows(self) -> Iterator[tuple[str, Listed]]:
        with opened(self.folder / NAME, _TABLES) as database, contextlib.suppress(sqlite3.Error):
            if database is None:
                return
            for name, size, changed, kind, model, called, keys, shapes in database.execute(
                "SELECT * FROM shards"
            ):
                path = self.folder / name
                stamped = (size, changed)
                yield name, Listed(path, stamped, kind, model, called, keys, _shapes(shapes))


def another_model(folder: Path, name: str) -> BadInput:
    return BadInput(
        f"The cache in {folder} was made with another model ({name}); delete it or name another "
        "folder with --cache."
    )


def _packed_shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    """Most shards have entries of one or two shapes."""
    distinct = list(dict.fromkeys(shapes))
    return json.dumps([distinct, [distinct.index(shape) for shape in shapes]])


@functools.lru_cache(64)  # most shards tell the same, and then share what it means
def _shapes(text: str) -> tuple[tuple[int, ...], ...]:
    distinct, order = json.loads(text)
    known = [tuple(shape) for shape in distinct]
    return tuple(known[at] for at in order)
