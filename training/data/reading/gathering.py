"""The captions that a folder's files give to its images."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import preferences, sources, tables, text_files
from .listing import Listing
from .names import Pictures, folded
from .sources import RANK, Row

NEGATIVE = ".neg"


@dataclass
class Gathered:
    """Captions by image, and what became of the rest.

    captions: those that count, of places of one rank. worse: the pictures that each is better than.
    places: where these stand. lost: images
    whose own caption file could not be read. keyless: entries of lists without a caption, with
    the keys they have. The others are as `Report` has them.
    """

    listing: Listing
    captions: dict[Path, list[str]] = field(default_factory=dict)
    negatives: dict[Path, list[str]] = field(default_factory=dict)
    worse: dict[Path, list[Path]] = field(default_factory=dict)
    places: dict[Path, list[str]] = field(default_factory=dict)
    lost: set[Path] = field(default_factory=set)
    imageless: list[str] = field(default_factory=list)
    keyless: list[Row] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _found: dict[Path, list[Row]] = field(default_factory=dict, repr=False)

    def give(self, image: Path, row: Row) -> None:
        """A row's captions to an image."""
        if row.captions:
            self._found.setdefault(image, []).append(row)
        if row.mended:
            self.notes.append(
                f"{_place(row)}: what is no character (half an emoji, a control character) was "
                "left out"
            )

    @property
    def own(self) -> list[Path]:
        """The images, without those that only stand beside a better one."""
        beside = {worse for each in self.worse.values() for worse in each} - self.worse.keys()
        return [image for image in self.listing.images if image not in beside]

    def settle(self) -> None:
        """Chooses the places that count: an image's best rank; the others are passed over."""
        for image, rows in self._found.items():
            best = min(RANK[row.source] for row in rows)
            taken = [row for row in rows if RANK[row.source] == best]
            self.captions[image] = [caption for row in taken for caption in row.captions]
            self.places[image] = list(dict.fromkeys(row.source for row in taken))
            self.passed_over += [_place(row) for row in rows if RANK[row.source] != best]
        self.lost -= set(self.captions)


def gather(listing: Listing) -> Gathered:
    """Reads all captions of a folder. Raises BadInput where metadata.jsonl or COCO's are wrong."""
    gathered = Gathered(listing)
    pictures = Pictures(listing.root, listing.images)
    owners = _Owners(listing.images)
    _read_texts(gathered, owners)
    for path in listing.metadata:
        _take(gathered, pictures, path, list(tables.read_metadata(path)))
    jsons = [(path, owners.of(os.path.splitext(path)[0])) for path in listing.jsons]
    _read_jsons(gathered, pictures, jsons)
    for path in listing.tables:
        try:
            _take(gathered, pictures, path, tables.read_csv(path))
        except (OSError, tables.NotRead) as error:
            gathered.unreadable.append((path, _reason(error)))
    _read_preferences(gathered, owners, pictures)
    gathered.settle()
    return gathered


def _read_preferences(gathered: Gathered, owners: _Owners, pictures: Pictures) -> None:
    told = list(preferences.beside(gathered.listing.images, owners.of))
    for path in gathered.listing.preferences:
        for one in preferences.listed(path, pictures):
            told.append(one)
            if one.text:
                gathered.give(one.better, sources.row(path, path.name, [one.text], sources.LIST))
    for one in told:
        worse = gathered.worse.setdefault(one.better, [])
        if one.worse not in worse:
            worse.append(one.worse)


class _Owners:
    """Which images a file beside them is named after: `a.txt` or `a.png.txt` of `a.png`."""

    def __init__(self, images: Sequence[Path]) -> None:
        self._images = images
        self._exact: dict[str, list[Path]] = {}
        for image in images:
            self._exact.setdefault(os.path.splitext(image)[0], []).append(image)
        for image in images:
            self._exact.setdefault(str(image), [image])

    @functools.cached_property
    def _alike(self) -> dict[tuple[str, str], dict[str, list[Path]]]:
        alike: dict[tuple[str, str], dict[str, list[Path]]] = {}
        for image in self._images:
            folder, name = os.path.split(os.path.splitext(image)[0])
            alike.setdefault((folder, folded(name)), {}).setdefault(name, []).append(image)
        return alike

    def of(self, stem: str) -> list[Path]:
        """The images of this path without suffix; else those of one that is spelt otherwise."""
        if stem in self._exact:
            return self._exact[stem]
        folder, name = os.path.split(stem)
        alike = self._alike.get((folder, folded(name)), {})
        return next(iter(alike.values())) if len(alike) == 1 else []


def _read_texts(gathered: Gathered, owners: _Owners) -> None:
    for path, source in gathered.listing.texts:
        stem = os.path.splitext(path)[0]
        images = owners.of(stem)
        negative = not images and stem.lower().endswith(NEGATIVE) and source == sources.TEXT
        if negative:
            images = owners.of(stem[: -len(NEGATIVE)])
        if not images:
            gathered.imageless.append(str(path))
            continue
        try:
            lines = text_files.read(path).splitlines()
        except (OSError, text_files.NotText) as error:
            gathered.unreadable.append((path, _reason(error)))
            if not negative:
                gathered.lost.update(images)
            continue
        row = sources.row(path, path.name, lines, source)
        for image in images:
            if negative:
                gathered.negatives.setdefault(image, []).extend(row.captions)
            else:
                gathered.give(image, row)


def _read_jsons(
    gathered: Gathered, pictures: Pictures, jsons: list[tuple[Path, list[Path]]]
) -> None:
    for path, images in jsons:
        try:
            value = tables.read_json(path)
            rows = tables.rows(path, value)
            own = tables.sidecar(path, path.name, value) if images and rows is None else None
        except (OSError, tables.NotRead) as error:
            gathered.unreadable.append((path, _reason(error)))
            gathered.lost.update(images)
            continue
        if rows is not None:
            _take(gathered, pictures, path, rows, further=gathered.listing.root)
        elif own is not None:
            for image in images:
                gathered.give(image, own)
        elif images and isinstance(value, dict):
            gathered.keyless.append(Row(path, path.name, (), sources.JSON, keys=tables.keys(value)))
        else:
            gathered.listing.others[sources.JSON] += 1


def _take(
    gathered: Gathered, pictures: Pictures, path: Path, rows: list[Row], further: Path | None = None
) -> None:
    """A list's captions to the images that its names mean."""
    # COCO keeps its JSON in annotations/ and the images in a folder beside it.
    folders = [path.parent, *([further] if further is not None else [])]
    coco = bool(rows) and rows[0].source == sources.COCO
    found, loose = pictures.resolve((row.name for row in rows), folders, by_file=coco)
    for row in rows:
        image = found.get(row.name)
        if image is None:
            if row.captions:
                gathered.imageless.append(f"{row.name} ({row.place})")
        else:
            gathered.give(image, row)
            if not row.captions:
                gathered.keyless.append(row)
    spelt = {row.name for row in rows} & loose
    if spelt and not coco:
        first = min(spelt)
        gathered.notes.append(
            f"{path}: {len(spelt)} names were found by their ending or another spelling, such as "
            f"{first}: {found[first]}"
        )


def _place(row: Row) -> str:
    return f"{row.place}" if row.name == row.place.name else f"{row.place} ({row.name})"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return " ".join(str(error).split()) or type(error).__name__
