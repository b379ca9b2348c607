"""Files that are there whole or not at all, and a lock between processes."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file exclusively, waiting for others; a killed holder lets go of it."""
    with path.open("a+b") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield  # Closing the file lets go.
        else:
            _wait_for_first_byte(file.fileno())
            try:
                yield
            finally:
                os.lseek(file.fileno(), 0, os.SEEK_SET)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def _wait_for_first_byte(number: int) -> None:
    while True:
        os.lseek(number, 0, os.SEEK_SET)
        try:
            return msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            time.sleep(0.02)


def temporary(path: Path, data: bytes) -> Path:
    """Writes a hidden file beside `path`, on the disk before this returns. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "fchmod"):
                # mkstemp's file is its owner's alone; this one is as public as any other.
                os.fchmod(file.fileno(), 0o666 & ~_UMASK)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _umask() -> int:
    # There is no way to ask for it without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _umask()


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file's content in one move. A kill leaves the old file or the new one."""
    write_all({path: data})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Replaces several files' contents, each in one move, once all of them are on the disk."""
    made: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            made[path] = temporary(path, data)
        for path, ready in made.items():
            os.replace(ready, path)
    except BaseException:
        for ready in made.values():
            ready.unlink(missing_ok=True)
        raise


def put(made: Path, path: Path) -> bool:
    """Moves a temporary file to `path` if nothing is there yet; False where something is.

    By a hard link, which is exclusive on network drives too; where the file system has none, by
    a move: the caller then holds the trial's lock.
    """
    try:
        os.link(made, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        if path.exists():
            return False
        os.replace(made, path)
    return True


def remove_remains(path: Path) -> None:
    """Deletes the temporary files that killed writers of `path` left beside it."""
    for remains in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(OSError):  # Windows keeps a file that is open.
            remains.unlink()


def is_whole(png: bytes) -> bool:
    """Whether bytes begin and end as a PNG file does."""
    return png.startswith(_SIGNATURE) and png.endswith(_END)


def is_whole_png(path: Path) -> bool:
    """Whether a regular file begins and ends as a PNG does; False where there is none."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            if file.read(len(_SIGNATURE)) != _SIGNATURE:
                return False
            file.seek(-len(_END), os.SEEK_END)
            return file.read() == _END
    except OSError:
        return False
