"""Files by path or address: what an address names, and bytes of it.

Local files are opened as they are. All others go through fsspec, which comes with torch; it asks
for a package of its own for some kinds of storage, such as s3fs.
"""

from __future__ import annotations

import functools
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import BadInput

SUFFIXES = (".tar", ".parquet")
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_RANGE = re.compile(r"^(\d+)\.\.(\d+)$")
_REMOTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_CHANGES = ("mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "created")
"""What file systems call that which changes with a file's contents."""


def is_remote(source: Path | str) -> bool:
    return _REMOTE.match(str(source)) is not None


def is_archive(source: Path | str) -> bool:
    """Whether this names archives, not a folder. Raises BadInput on what it cannot be."""
    name = str(source).lower()
    if not is_remote(source) and Path(source).is_dir():
        return False
    if name.endswith(_PACKED):
        raise BadInput(
            f"{source} is packed, so that no picture in it can be found again: pack it as a plain "
            ".tar, pictures are small already."
        )
    if name.endswith(SUFFIXES):
        return True
    if is_remote(source):
        raise BadInput(
            f"{source} is no .tar and no .parquet: remote data is read from such files, as in "
            "s3://bucket/pictures-{000..099}.tar."
        )
    return False


def addresses(source: Path | str) -> list[str]:
    """The files that a source names: `{000..099}` and `{a,b}` are written out, then `*` is looked
    up. Raises BadInput where there is none."""
    given = str(source)
    if not is_remote(given) and os.path.exists(given):
        return [given]
    found = []
    for each in _written_out(given):
        found += sorted(_looked_up(each)) if glob.has_magic(each) else [each]
    if not found:
        raise BadInput(f"There is no file {source}: check --data.")
    return found


def _written_out(text: str) -> Iterator[str]:
    match = re.search(r"\{([^{}]*)\}", text)
    if match is None:
        yield text
        return
    counted = _RANGE.match(match[1])
    if counted:
        first, last = counted.groups()
        width = len(first) if first.startswith("0") else 0
        parts = [f"{number:0{width}}" for number in range(int(first), int(last) + 1)]
    else:
        parts = match[1].split(",")
    for part in parts:
        yield from _written_out(text[: match.start()] + part + text[match.end() :])


def _looked_up(pattern: str) -> list[str]:
    if not is_remote(pattern):
        return glob.glob(pattern, recursive=True)
    system, path = _system(pattern)
    return [system.unstrip_protocol(each) for each in system.glob(path)]


def state(address: str) -> str:
    """What changes when the file does. Raises BadInput where it cannot be reached."""
    try:
        if not is_remote(address):
            found = os.stat(address)
            return f"{found.st_size} {found.st_mtime_ns}"
        system, path = _system(address)
        info = system.info(path)
        return " ".join(str(info.get(key)) for key in ("size", *_CHANGES))
    except (OSError, ValueError) as error:
        raise _unreached(address, error) from error


def opened(address: str) -> BinaryIO:
    """To read from its beginning. Raises BadInput where it cannot be reached."""
    try:
        if not is_remote(address):
            return open(address, "rb")
        system, path = _system(address)
        return system.open(path, "rb")
    except (OSError, ValueError) as error:
        raise _unreached(address, error) from error


def part(address: str, start: int, size: int) -> bytes:
    """Some bytes of a file. Raises OSError."""
    if is_remote(address):
        system, path = _system(address)
        return system.cat_file(path, start=start, end=start + size)
    with open(address, "rb") as file:
        file.seek(start)
        return file.read(size)


@functools.lru_cache(1024)
def _system(address: str) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it."""
    try:
        import fsspec
        import fsspec.core

        return fsspec.core.url_to_fs(address)
    except ImportError as error:  # fsspec itself, or its package for this kind of storage
        raise BadInput(f"{address} cannot be read: {error}.") from error
    except ValueError as error:  # a kind of storage that nobody knows
        raise _unreached(address, error) from error


def _unreached(address: str, error: Exception) -> BadInput:
    reason = (
        getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    )
    return BadInput(f"{address} cannot be read ({reason}): check --data.")
