"""Names of cached entries, made from what they were computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from ..data import Framing, Pair
from ..data.known import Known
from ..data.pairs import Pairs, texts_of
from ..errors import BadInput
from .places import KEY


def of_caption(caption: str, bits: int = 16) -> str:
    """The key of a caption's embedding."""
    stored = "" if bits == 16 else f"\0{bits} bits"
    return hashlib.sha256(f"{caption}{_reading(caption)}{stored}".encode()).hexdigest()[: 2 * KEY]


def _reading(caption: str) -> str:
    """Parentheses were weights in caches of an earlier version, and are letters now."""
    return "\0letters" if "(" in caption or ")" in caption else ""


class Keys(Sequence[str]):
    """Keys in hexadecimal, 16 bytes each. packed: all of them, one after the other."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed

    @classmethod
    def of(cls, keys: Iterable[bytes]) -> Keys:
        packed = bytearray()
        for key in keys:  # one by one: `join` holds all of them beside what it gives
            packed += key
        return cls(bytes(packed))

    def __len__(self) -> int:
        return len(self.packed) // KEY

    def __getitem__(self, at: int) -> str:
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.packed[KEY * at : KEY * (at + 1)].hex()


def of_images(pairs: Sequence[Pair], framing: Framing, known: Known | None = None) -> Keys:
    """The keys of the images' latents at this framing, from the files' contents.

    known: what earlier starts have hashed. Raises BadInput where a file is gone.
    """
    if isinstance(pairs, Pairs) and pairs.hashed and not framing.crops:
        name = framing.name(None)
        return Keys.of(_key(sha256.hex(), name) for sha256 in pairs.hashes())
    lacking = [pair.image for pair in pairs if pair.sha256 is None]
    try:
        hashes = (known or Known()).hashes(lacking) if lacking else {}
    except OSError as error:
        raise BadInput(
            f"{error.filename} can no longer be read ({error.strerror}); run again."
        ) from error
    return Keys.of(
        _key(pair.sha256 or hashes[pair.image], framing.name(pair.image)) for pair in pairs
    )


def _key(sha256: str, framing: str) -> bytes:
    return hashlib.sha256(f"{sha256} {framing}".encode()).digest()[:KEY]


def of_run(model: str, pairs: Sequence[Pair], images: Sequence[str], further: Sequence[str]) -> str:
    """One hash of the model, the images at their framing, and all captions, in order."""
    hashed = hashlib.sha256(model.encode())
    for (captions, negatives), key in zip(texts_of(pairs), images, strict=True):
        hashed.update(repr((key, captions, negatives)).encode())
        hashed.update("".join(map(_reading, (*captions, *negatives))).encode())
    hashed.update(repr(tuple(further)).encode())
    hashed.update("".join(map(_reading, further)).encode())
    return hashed.hexdigest()
