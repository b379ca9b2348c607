"""Pairs of an image and its captions, found in a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from ..errors import BadInput
from . import captions as tables
from .images import EXTENSIONS, fault
from .report import Report

NEGATIVE = ".neg"


@dataclass(frozen=True)
class Pair:
    """An image, the captions that are true of it, and near ones that are not (`name.neg.txt`)."""

    image: Path
    captions: tuple[str, ...]
    negatives: tuple[str, ...] = ()


@dataclass
class _Folder:
    """What is gathered while reading; keys are paths below `root`."""

    root: Path
    images: list[Path]
    texts: list[Path]
    jsons: list[Path]
    metadata: list[Path]
    captions: dict[Path, list[str]] = field(default_factory=dict)
    negatives: dict[Path, list[str]] = field(default_factory=dict)
    imageless: list[str] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


def find(folder: Path) -> tuple[list[Pair], Report]:
    """The pairs below a folder, in the order of their paths, and what else there is.

    Captions come from a `.txt` of the image's name (a line each), from `metadata.jsonl` and from
    COCO captions files; an image may have them from several. Hidden files and folders are left
    out. Every image is decoded once (JPEGs at reduced size), so a truncated one is known now.

    Raises BadInput where the folder is missing or has no image, no caption, no image with a
    caption, or fewer than two distinct captions.
    """
    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}; give --data a folder of images.")
    found = _scan(folder)
    if not found.images:
        raise BadInput(f"{folder} holds no images; put images and their captions there.")
    _read_texts(found)
    _read_tables(found)
    found.unreadable += _undecodable([path for path in found.images if path in found.captions])
    pairs, report = _pairs(found)
    _check(folder, pairs, report)
    return pairs, report


def _scan(root: Path) -> _Folder:
    found = _Folder(root, [], [], [], [])
    for path in sorted(_files(root), key=lambda path: path.relative_to(root).as_posix()):
        suffix = path.suffix.lower()
        if suffix in EXTENSIONS:
            found.images.append(path)
        elif suffix == ".txt":
            found.texts.append(path)
        elif path.name == tables.METADATA:
            found.metadata.append(path)
        elif suffix == ".json":
            found.jsons.append(path)
    return found


def _files(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up the tree
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _read_texts(found: _Folder) -> None:
    images: dict[Path, list[Path]] = {}
    for image in found.images:
        images.setdefault(image.with_suffix(""), []).append(image)
    for path in found.texts:
        stem = path.with_suffix("")
        negative = stem not in images and stem.suffix.lower() == NEGATIVE
        owners = images.get(stem.with_suffix("") if negative else stem, [])
        if not owners:
            found.imageless.append(str(path))
            continue
        try:
            lines = tables.read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            found.unreadable.append((path, _reason(error)))
            continue
        for image in owners:
            target = found.negatives if negative else found.captions
            if lines:
                target.setdefault(image, []).extend(lines)


def _read_tables(found: _Folder) -> None:
    present = set(found.images)
    by_name: dict[str, list[Path]] = {}
    for image in found.images:
        by_name.setdefault(image.name, []).append(image)
    for path in found.metadata:
        for row in tables.read_metadata(path):
            image = _below(path.parent, row.name)
            _take(found, row, image if image in present else None)
    for path in found.jsons:
        for row in tables.read_coco(path):
            places = [_below(path.parent, row.name), _below(found.root, row.name)]
            # COCO keeps its JSON in annotations/ and the images in a folder beside it.
            alike = by_name.get(PureWindowsPath(row.name).name, [])
            places += alike if len(alike) == 1 else []
            _take(found, row, next((place for place in places if place in present), None))


def _below(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder / name))


def _take(found: _Folder, row: tables.Row, image: Path | None) -> None:
    if image is None:
        if row.captions:
            found.imageless.append(f"{row.name} ({row.table})")
    elif row.captions:
        found.captions.setdefault(image, []).extend(row.captions)


def _undecodable(images: list[Path]) -> list[tuple[Path, str]]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        faults = pool.map(fault, images)
        return [(path, reason) for path, reason in zip(images, faults, strict=True) if reason]


def _pairs(found: _Folder) -> tuple[list[Pair], Report]:
    broken = {path for path, _ in found.unreadable}
    pairs = []
    for image in found.images:
        own = tables.clean(found.captions.get(image, []))
        if own and image not in broken:
            # A line that is also a caption of the image is true of it, whatever the file's name.
            wrong = (line for line in tables.clean(found.negatives.get(image, [])))
            pairs.append(Pair(image, own, tuple(line for line in wrong if line not in own)))
    counts = Counter(caption for pair in pairs for caption in pair.captions)
    total = sum(len(found.captions[pair.image]) for pair in pairs)
    report = Report(
        pairs=len(pairs),
        captions=counts.total(),
        duplicates=total - len(counts),
        uncaptioned=tuple(i for i in found.images if i not in found.captions and i not in broken),
        imageless=tuple(found.imageless),
        unreadable=tuple(sorted(found.unreadable)),
    )
    return pairs, report


def _check(folder: Path, pairs: list[Pair], report: Report) -> None:
    if not pairs and report.unreadable:
        raise BadInput(
            f"No image with a caption in {folder} can be read ({len(report.unreadable)} unreadable "
            f"files, the first {report.unreadable[0][0]}); replace the damaged files."
        )
    if not pairs:
        raise BadInput(
            f"No image in {folder} has a caption; write one into a .txt of the image's name, or "
            "into metadata.jsonl."
        )
    distinct = {caption for pair in pairs for caption in pair.captions}
    if len(distinct) < 2:
        raise BadInput(
            f"All images in {folder} have the same caption; training tells captions apart and "
            "needs at least two different ones."
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
