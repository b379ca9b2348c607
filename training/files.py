"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replaces a file's content in one move, on the disk before this returns.

    A kill at any moment leaves the old file or the new one. Raises OSError.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_remains(path: Path) -> None:
    """Deletes what a killed `write_whole` or adapter write left beside its file."""
    for remains in path.parent.glob(f".{path.name}.*"):
        remains.unlink(missing_ok=True)
