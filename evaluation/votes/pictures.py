"""Pictures as a voter gets them: the pixels, and nothing else of the file."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

from PIL import Image

from .errors import VotingError

LARGEST_FILE = 256 << 20
"""Bytes."""
LARGEST_PICTURE = 1 << 26
"""Pixels; 8192 squared."""
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no picture, or no whole one."""


def is_whole(path: Path) -> bool:
    """Whether a PNG is there and undamaged, by its checksums; no pixel is decoded."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return _is_whole(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4096)
def _is_whole(path: Path, modified: int, size: int) -> bool:
    """modified, size: so that a file that changed is looked at again."""
    try:
        with _opened(path) as file, _picture(file) as picture:
            picture.verify()
    except _UNREADABLE:
        return False
    return True


def bare_png(path: Path) -> bytes:
    """The picture encoded anew from its RGB values, the same way whatever the file was like.

    Equal pixels give equal bytes. Raises VotingError (404) where it cannot be read.
    """
    try:
        with _opened(path) as file, _picture(file) as picture:
            pixels = picture.convert("RGB")
    except _UNREADABLE:
        raise VotingError("This picture is gone or damaged.", 404) from None
    bare = Image.frombytes("RGB", pixels.size, pixels.tobytes())  # drops what was said beside them
    encoded = io.BytesIO()
    bare.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


def _picture(file: io.BufferedReader) -> Image.Image:
    """Raises ValueError for one that is larger than any model paints."""
    if os.fstat(file.fileno()).st_size > LARGEST_FILE:
        raise ValueError
    picture = Image.open(file, formats=["PNG"])
    if picture.width * picture.height > LARGEST_PICTURE:
        raise ValueError
    return picture


def _opened(path: Path) -> io.BufferedReader:
    """The file of this very name, not what a link there leads to."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags), "rb")
