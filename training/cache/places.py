"""Where each entry of a cache lies: sorted columns, some 25 bytes an entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

KEY = 16
"""Bytes of an entry's key, whose hexadecimal form is its name in a shard."""
_HALVES = np.dtype([("head", ">u8"), ("tail", ">u8")])
_NOWHERE = -1


@dataclass
class Places:
    """The entries of one kind, by key.

    shards: their files. shapes: the distinct shapes of entries, for latents (C, h, w).
    """

    shards: list[Path] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shape_numbers: dict[tuple[int, ...], int] = {}
        self._parts: list[tuple[bytes, int, np.ndarray]] = []
        self._sort()

    def add(self, path: Path, keys: bytes, shapes: Sequence[tuple[int, ...]]) -> None:
        """A shard's entries: their keys one after the other, and the shape of each. The last shard
        that has an entry is the one it is read from. `sort` once all are there."""
        numbers = [self._shape_numbers.setdefault(s, len(self._shape_numbers)) for s in shapes]
        self._parts.append((keys, len(self.shards), np.array(numbers, dtype=np.uint32)))
        self.shards.append(path)

    def sort(self) -> None:
        self.shapes = list(self._shape_numbers)
        self._sort()

    def _sort(self) -> None:
        keys = np.frombuffer(b"".join(keys for keys, *_ in self._parts), dtype=_HALVES)
        counts = [len(numbers) for *_, numbers in self._parts]
        shard = np.repeat(np.array([part[1] for part in self._parts], dtype=np.uint32), counts)
        shape = np.concatenate([np.zeros(0, np.uint32), *(part[2] for part in self._parts)])
        self._parts.clear()
        head, tail = keys["head"].astype(np.uint64), keys["tail"].astype(np.uint64)
        # Of equal keys the last one comes first, where `find` looks.
        order = np.lexsort((-np.arange(len(head)), tail, head))
        self._head, self._tail = head[order], tail[order]
        self._shard, self._shape = shard[order], shape[order]

    def __len__(self) -> int:
        return len(self._head)

    def find(self, keys: bytes) -> np.ndarray:
        """The number of each entry of these keys, one after the other; -1 of one not there."""
        wanted = np.frombuffer(keys, dtype=_HALVES)
        head, tail = wanted["head"].astype(np.uint64), wanted["tail"].astype(np.uint64)
        at = np.searchsorted(self._head, head)
        found = np.full(len(wanted), _NOWHERE, dtype=np.int64)
        if not len(self):
            return found
        # Heads of 64 bits that are alike are next to never two keys; where they are, look further.
        for _ in range(8):
            inside = np.minimum(at, len(self) - 1)
            here = (self._head[inside] == head) & (found == _NOWHERE)
            found = np.where(here & (self._tail[inside] == tail), inside, found)
            at = at + 1
            if not (here & (found == _NOWHERE)).any():
                break
        return found

    def shard_of(self, number: int) -> Path:
        return self.shards[self._shard[number]]

    def shape_of(self, number: int) -> tuple[int, ...]:
        return self.shapes[self._shape[number]]


def packed(keys: Iterable[str]) -> bytes:
    """Keys as `Places` takes them."""
    return b"".join(map(bytes.fromhex, keys))
