"""Names of cached entries, made from what they were computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..data import Framing, Pair
from ..errors import BadInput


def of_caption(caption: str) -> str:
    """The key of a caption's embedding."""
    return hashlib.sha256(f"{caption}{_reading(caption)}".encode()).hexdigest()[:32]


def _reading(caption: str) -> str:
    """Parentheses were weights in caches of an earlier version, and are letters now."""
    return "\0letters" if "(" in caption or ")" in caption else ""


def of_images(pairs: Sequence[Pair], framing: Framing) -> list[str]:
    """The keys of the images' latents at this framing, from the files' contents.

    Raises BadInput where a file is gone.
    """

    def key(pair: Pair) -> str:
        return _of_image(pair.image, framing)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(key, pairs))


def _of_image(path: Path, framing: Framing) -> str:
    try:
        with path.open("rb") as file:
            content = hashlib.sha256()
            while block := file.read(1 << 20):
                content.update(block)
    except OSError as error:
        raise BadInput(f"{path} can no longer be read ({error.strerror}); run again.") from error
    return hashlib.sha256(f"{content.hexdigest()} {framing.name(path)}".encode()).hexdigest()[:32]


def of_run(model: str, pairs: Sequence[Pair], images: Sequence[str], further: Sequence[str]) -> str:
    """One hash of the model, the images at their framing, and all captions, in order."""
    hashed = hashlib.sha256(model.encode())
    for pair, key in zip(pairs, images, strict=True):
        hashed.update(repr((key, pair.captions, pair.negatives)).encode())
        hashed.update("".join(map(_reading, (*pair.captions, *pair.negatives))).encode())
    hashed.update(repr(tuple(further)).encode())
    hashed.update("".join(map(_reading, further)).encode())
    return hashed.hexdigest()
