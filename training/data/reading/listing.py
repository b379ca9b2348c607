"""What lies in a data folder, by what it is for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..pictures import formats
from ..pictures.images import EXTENSIONS
from . import preferences, sources

_METADATA = "metadata.jsonl"
_CSV = "metadata.csv"
_UNREAD_TABLES = {"metadata.parquet": "convert it to metadata.jsonl or metadata.csv"}


@dataclass
class Listing:
    """The files below a folder, each list in the order of its paths.

    texts: caption files beside pictures. unsupported: pictures in formats that nothing here reads,
    with what to do. unreadable: what cannot be opened at all. others: the rest, by suffix.
    """

    root: Path
    images: list[Path] = field(default_factory=list)
    texts: list[tuple[Path, str]] = field(default_factory=list)
    jsons: list[Path] = field(default_factory=list)
    metadata: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    preferences: list[Path] = field(default_factory=list)
    unsupported: list[tuple[Path, str]] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def picture_suffixes() -> frozenset[str]:
    """Those of files that are read as pictures here: Pillow's, and of packages installed."""
    return EXTENSIONS | formats.readable(formats.FORMATS)


def list_folder(root: Path) -> Listing:
    """Lists a folder and those below it; hidden files and folders are left out."""
    found = Listing(root)
    below = sorted(_files(found))
    known = formats.readable(os.path.splitext(name)[1].lower() for name in below)
    for name in below:
        _sort_in(found, Path(root, name), EXTENSIONS | known)
    return found


def _sort_in(found: Listing, path: Path, readable: frozenset[str]) -> None:
    suffix, name = path.suffix.lower(), path.name.lower()
    if suffix in readable:
        found.images.append(path)
    elif suffix in formats.FORMATS:
        format_ = formats.FORMATS[suffix]
        found.unsupported.append((path, f"{format_.name} is not read; {format_.remedy}"))
    elif suffix in (sources.TEXT, sources.CAPTION):
        found.texts.append((path, suffix))
    elif name == _METADATA:
        found.metadata.append(path)
    elif name == preferences.LIST:
        found.preferences.append(path)
    elif name == _CSV:
        found.tables.append(path)
    elif name in _UNREAD_TABLES:
        found.unreadable.append((path, f"is not read; {_UNREAD_TABLES[name]}"))
    elif suffix == sources.JSON:
        found.jsons.append(path)
    else:
        found.others[suffix or path.name] += 1


def _files(found: Listing) -> Iterator[str]:
    """Names below the root, with forward slashes; links are followed, but into no folder twice."""
    seen: set[str] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        folder = Path(found.root, below)
        real = os.path.realpath(folder)
        if real in seen:  # a link back up the tree
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            found.unreadable.append((folder, f"cannot be opened ({error.strerror})"))
            continue
        folders = []
        for entry in inside:
            kind = "hidden" if entry.name.startswith(".") else _kind(entry)
            if kind == "folder":
                folders.append(f"{below}{entry.name}/")
            elif kind == "file":
                yield f"{below}{entry.name}"
            elif kind == "other":
                found.others[os.path.splitext(entry.name)[1].lower() or entry.name] += 1
            elif kind != "hidden":
                found.unreadable.append((Path(entry.path), kind))
        waiting += reversed(folders)


def _kind(entry: os.DirEntry[str]) -> str:
    """folder, file, other (a pipe or a device, which may never end), or why it is none."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError as error:  # a link to itself
        return f"cannot be opened ({error.strerror})"
    return "is a link to a file that is gone" if entry.is_symlink() else "other"
