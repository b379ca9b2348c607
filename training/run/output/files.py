"""Files that are there whole or not at all."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file's content in one move, on the disk before this returns.

    A kill at any moment leaves the old file or the new one. Raises OSError.
    """
    # Opened anew rather than by `tempfile`, so that the user's umask decides who may read it.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the name a user knows
        raise


def remove_remains(path: Path) -> None:
    """Deletes what a killed `write_whole` or adapter write left beside its file."""
    for remains in path.parent.glob(f".{glob.escape(path.name)}.*"):
        remains.unlink(missing_ok=True)
