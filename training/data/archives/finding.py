"""The pairs of archives: each file is streamed once, and then known."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..known import Known, sets
from ..pairs import Pairs, about_pair
from ..pictures.images import Look, examined
from ..reading import sources
from ..reading.listing import picture_suffixes
from ..report import Report
from . import parquet, storage, tar
from .samples import Sample

_READERS = {".tar": tar, ".parquet": parquet}
_TOGETHER = 64
"""Samples whose pictures are decoded at once; they wait in memory meanwhile."""


@dataclass(frozen=True)
class Archive:
    """One file. `archive / name` is a picture in it, as `folder / name` is one in a folder."""

    address: str

    @property
    def reader(self) -> ModuleType:
        return _READERS[os.path.splitext(self.address.lower())[1]]

    def __truediv__(self, name: str) -> Picture:
        return Picture(self, name)

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True)
class Picture:
    """A picture in an archive; what is asked of a `Path` of one in a folder."""

    archive: Archive
    inside: str

    @property
    def name(self) -> str:
        return self.archive.reader.shown(self.inside)

    def open(self, mode: str = "rb") -> io.BytesIO:
        return self.archive.reader.contents(self.archive.address, self.inside)

    def __str__(self) -> str:
        return f"{self.archive.address}: {self.name}"


@dataclass(frozen=True)
class _Held:
    """A picture's bytes."""

    contents: bytes

    def open(self, mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(self.contents)


def find_archives(source: Path | str, known: Known) -> tuple[Pairs, list[Report]]:
    """The pairs of all files that a source names, in their order, and what each came to.

    A file that is as an earlier start found it is not opened. Raises BadInput where one cannot be
    read.
    """
    pairs, reports = Pairs(), []
    for address in storage.addresses(source):
        archive = Archive(address if storage.is_remote(address) else os.path.abspath(address))
        now = sets.fingerprint_of([storage.state(address)], picture_suffixes())
        found = sets.read(known, archive, now)
        if found is None:
            found = _read(archive)
            sets.keep(known, archive, now, *found)
        pairs.extend(found[0])
        reports.append(found[1])
    return pairs, reports


def _read(archive: Archive) -> tuple[Pairs, Report]:
    pairs, places = Pairs(), Counter()
    uncaptioned, imageless, unreadable = [], [], []
    captions: Counter[str] = Counter()
    for sample, look in _looked_at(archive.reader.samples(archive.address)):
        unreadable += [(Path(archive.address, name), why) for name, why in sample.faults]
        best = sample.best
        if sample.contents is None:
            imageless += [f"{sample.key} ({archive.address})"] if best else []
        elif best is None:
            uncaptioned += [] if sample.faults else [Path(archive.address, sample.key)]
        elif isinstance(look, str):
            unreadable.append((Path(archive.address, sample.key), look))
        else:
            source, own = best
            wrong = [each for each in sources.clean(sample.negatives) if each not in own]
            about = about_pair(sample.name, own, wrong)
            digest = hashlib.sha256(sample.contents).digest()
            size = (look.width, look.height)
            pairs.add(archive, about, size, digest)
            places[source] += 1
            captions.update(own)
    report = Report(
        pairs=len(pairs),
        captions=captions.total(),
        duplicates=captions.total() - len(captions),
        uncaptioned=tuple(uncaptioned),
        imageless=tuple(imageless),
        unreadable=tuple(unreadable),
        sources=dict(places),
    )
    return pairs, report


def _looked_at(samples: Iterable[Sample]) -> Iterator[tuple[Sample, Look | str]]:
    coming = iter(samples)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while some := list(itertools.islice(coming, _TOGETHER)):
            yield from zip(some, pool.map(_examined, some), strict=True)


def _examined(sample: Sample) -> Look | str:
    return "" if sample.contents is None else examined(_Held(sample.contents))
