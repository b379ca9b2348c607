"""Names of cached entries, made from what they were computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..data import Framing, Pair
from ..data.known import Known
from ..errors import BadInput


def of_caption(caption: str) -> str:
    """The key of a caption's embedding."""
    return hashlib.sha256(f"{caption}{_reading(caption)}".encode()).hexdigest()[:32]


def _reading(caption: str) -> str:
    """Parentheses were weights in caches of an earlier version, and are letters now."""
    return "\0letters" if "(" in caption or ")" in caption else ""


def of_images(pairs: Sequence[Pair], framing: Framing, known: Known | None = None) -> list[str]:
    """The keys of the images' latents at this framing, from the files' contents.

    known: what earlier starts have hashed. Raises BadInput where a file is gone.
    """
    images = [pair.image for pair in pairs]
    try:
        hashes = (known or Known()).hashes(images)
    except OSError as error:
        raise BadInput(
            f"{error.filename} can no longer be read ({error.strerror}); run again."
        ) from error
    named = (f"{hashes[image]} {framing.name(image)}" for image in images)
    return [hashlib.sha256(name.encode()).hexdigest()[:32] for name in named]


def of_run(model: str, pairs: Sequence[Pair], images: Sequence[str], further: Sequence[str]) -> str:
    """One hash of the model, the images at their framing, and all captions, in order."""
    hashed = hashlib.sha256(model.encode())
    for pair, key in zip(pairs, images, strict=True):
        hashed.update(repr((key, pair.captions, pair.negatives)).encode())
        hashed.update("".join(map(_reading, (*pair.captions, *pair.negatives))).encode())
    hashed.update(repr(tuple(further)).encode())
    hashed.update("".join(map(_reading, further)).encode())
    return hashed.hexdigest()
