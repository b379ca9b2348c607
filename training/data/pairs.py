"""Pairs of an image and its captions, and a million of them in little memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, overload

_HASH = 32
"""Bytes of a sha256."""


class Picture(Protocol):
    """Where a picture lies: a `Path`, or a place in an archive. Hashable; `str` names it."""

    @property
    def name(self) -> str: ...
    def open(self, mode: str = "rb") -> BinaryIO: ...


class Source(Protocol):
    """A folder, as a `Path`, or an archive: `source / name` is a picture in it."""

    def __truediv__(self, name: str) -> Picture: ...


@dataclass(frozen=True)
class Pair:
    """An image, the captions that are true of it, and near ones that are not (`name.neg.txt`).

    size: (width, height) of the upright picture; None where it has not been looked at. weight: how
    often it is shown against others. sha256: of the file, in hexadecimal, where it is known. worse:
    pictures of the same captions that this one is better than. given: which --data it is of.
    """

    image: Picture
    captions: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    weight: float = 1.0
    sha256: str | None = field(default=None, compare=False)
    worse: tuple[Picture, ...] = ()
    given: int = field(default=0, compare=False)


class Pairs(Sequence[Pair]):
    """Pairs as columns of bytes: some 200 bytes each, a fifth of what as many `Pair`s take.

    A pair is made when it is asked for. Pictures of a pair have a folder each, a size and, all or
    none of them, a hash.
    """

    def __init__(self) -> None:
        self._folders: list[tuple[Source, float, int]] = []
        self._folder = array("H")
        self._about = bytearray()
        self._ends = array("Q")
        self._sizes = array("I")
        self._hashes = bytearray()

    @classmethod
    def of(cls, folder: Path, pairs: Iterable[Pair]) -> Pairs:
        """Pairs whose images lie below a folder and have been looked at."""
        made = cls()
        for pair in pairs:
            name, *worse = (os.path.relpath(each, folder) for each in (pair.image, *pair.worse))
            about = about_pair(name, pair.captions, pair.negatives, worse)
            sha256 = None if pair.sha256 is None else bytes.fromhex(pair.sha256)
            made.add(folder, about, pair.size, sha256)
        return made

    def add(
        self, folder: Source, about: bytes, size: tuple[int, int], sha256: bytes | None = None
    ) -> None:
        """One more. about: as `about_pair` gives it."""
        if not self._folders or self._folders[-1][0] is not folder:
            self._folders.append((folder, 1.0, 0))
        self._folder.append(len(self._folders) - 1)
        self._about += about
        self._ends.append(len(self._about))
        self._sizes.extend(size)
        self._hashes += sha256 or b""

    def extend(self, others: Pairs, weight: float = 1.0, given: int = 0) -> None:
        """Adds others, each of this weight. given: which --data they are of.

        The others are not to be used afterwards: a million are taken over rather than copied.
        """
        folders = [(folder, weight, given) for folder, *_ in others._folders]
        if not self:
            vars(self).update(vars(others), _folders=folders)
            return
        first, start = len(self._folders), len(self._about)
        self._folders += folders
        self._folder.extend(first + number for number in others._folder)
        self._about += others._about
        self._ends.extend(start + end for end in others._ends)
        self._sizes.extend(others._sizes)
        self._hashes += others._hashes

    @property
    def hashed(self) -> bool:
        return len(self._hashes) == _HASH * len(self)

    def hashes(self) -> Iterator[bytes]:
        """Of each in order, where they are `hashed`."""
        return (self._hash(at) for at in range(len(self)))

    def rows(self) -> Iterator[tuple[bytes, int, int, bytes]]:
        """What `add` takes, but the folder, of each in order."""
        for at in range(len(self)):
            width, height = self._size(at)
            yield self._told(at), width, height, self._hash(at)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """(width, height) of each upright picture in order."""
        return map(self._size, range(len(self)))

    def texts(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Captions and negatives of each in order, without the rest."""
        for at in range(len(self)):
            yield _Told.of(self._told(at)).texts

    def weight(self, at: int) -> float:
        return self._folders[self._folder[at]][1]

    def given(self, at: int) -> int:
        """Which --data it is of."""
        return self._folders[self._folder[at]][2]

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> list[Pair]: ...
    def __getitem__(self, at: int | slice) -> Pair | list[Pair]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        at %= len(self)
        told = _Told.of(self._told(at))
        folder, weight, given = self._folders[self._folder[at]]
        sha256 = self._hash(at).hex() if self.hashed else None
        worse = tuple(folder / name for name in told.worse)
        image, size = folder / told.name, self._size(at)
        return Pair(image, *told.texts, size, weight, sha256, worse, given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def _told(self, at: int) -> bytes:
        return bytes(self._about[self._ends[at - 1] if at else 0 : self._ends[at]])

    def _size(self, at: int) -> tuple[int, int]:
        return self._sizes[2 * at], self._sizes[2 * at + 1]

    def _hash(self, at: int) -> bytes:
        return bytes(self._hashes[_HASH * at : _HASH * (at + 1)])


def about_pair(
    name: str, captions: Sequence[str], negatives: Sequence[str], worse: Sequence[str] = ()
) -> bytes:
    """A pair's row in `Pairs`: its name and those of worse pictures below the folder, its texts."""
    counts = (str(len(captions)), str(len(negatives)))
    row = "\0".join((name, *counts, *captions, *negatives, *worse))
    return row.encode(errors="surrogateescape")


class _Told(NamedTuple):
    """What `about_pair` was given."""

    name: str
    texts: tuple[tuple[str, ...], tuple[str, ...]]
    worse: tuple[str, ...]

    @classmethod
    def of(cls, about: bytes) -> _Told:
        name, captions, negatives, *rest = about.decode(errors="surrogateescape").split("\0")
        own = int(captions)
        end = own + int(negatives)
        return cls(name, (tuple(rest[:own]), tuple(rest[own:end])), tuple(rest[end:]))


def texts_of(pairs: Sequence[Pair]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Captions and negatives of each pair in order."""
    if isinstance(pairs, Pairs):
        return pairs.texts()
    return ((pair.captions, pair.negatives) for pair in pairs)
