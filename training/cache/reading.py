"""The cache as training reads it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..data import Pair
from ..data.pairs import texts_of
from ..errors import BadInput
from . import compact, keys, shards
from .encoding import Text
from .places import Places, packed

_OPEN_SHARDS = 64
_CONTENTS = 256
"""Shards whose contents lists are kept in memory, of 50 to 100 KB each."""
_TOGETHER = 1 << 16
"""Captions whose keys are looked up at once."""


class Cache:
    """Latents and embeddings of a list of pairs, read from the shards as they are asked for.

    Every tensor is checked against its hash when it is first read. Raises BadInput where an entry
    is missing.
    """

    def __init__(
        self,
        places: Mapping[str, Places],
        model: str,
        pairs: Sequence[Pair],
        images: Sequence[str],
        further: Sequence[str] = (),
    ) -> None:
        """`places` by kind, as a `Catalog` gives them. `images` are the pairs' keys as
        `keys.of_images` gives them, `model` the encoder's hash; `further` are captions of no pair
        that are embedded too."""
        self._model, self._pairs, self._images, self._further = model, pairs, images, further
        self._places = places
        self._at = places["latents"].find(_bytes(images))
        self._checked = {kind: np.zeros(len(each), dtype=bool) for kind, each in places.items()}
        self._open = functools.lru_cache(_OPEN_SHARDS)(_open)
        self._contents = functools.lru_cache(_CONTENTS)(shards.read)
        missing = int((self._at < 0).sum())
        missing += sum(1 for _ in lacking(texts(pairs, further), places["texts"]))
        if missing:
            raise BadInput(
                f"{missing} entries are not in the cache; run again to have them computed."
            )

    @functools.cached_property
    def identity(self) -> str:
        """A hash of the model, the images at their framing and all captions: equal for runs that
        see the same data."""
        return keys.of_run(self._model, self._pairs, self._images, self._further)

    def __len__(self) -> int:
        return len(self._pairs)

    def pair(self, index: int) -> Pair:
        """The pair itself, to name its file."""
        return self._pairs[index]

    def captions(self, index: int) -> tuple[str, ...]:
        """The captions of a pair, at least one."""
        return self._pairs[index].captions

    def negatives(self, index: int) -> tuple[str, ...]:
        """The captions of a pair's `.neg.txt`, embedded like the others."""
        return self._pairs[index].negatives

    def shape(self, index: int) -> tuple[int, int, int]:
        """(C, h, w) of a pair's latent, without reading it."""
        return self._places["latents"].shape_of(self._at[index])

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Of all pairs."""
        return [self.shape(index) for index in range(len(self))]

    def latent(self, index: int) -> Tensor:
        """(C, h, w) float32, as the denoiser sees it."""
        return self._read("latents", self._at[index], [self._images[index]])[0].float()

    def text(self, caption: str) -> Text:
        """The embedding of any caption that the cache was built with. Raises KeyError on others."""
        key = keys.of_caption(caption)
        [number] = self._places["texts"].find(packed([key]))
        if number < 0:
            raise KeyError(f"this caption was not embedded: {caption}")
        entry = self._shard("texts", number).entries[key]
        names = [f"{key}.{part}" for part in range(len(entry["segments"]))]
        names += [f"{key}.pooled"] if entry["pooled"] else []
        further = entry.get("more", ())
        tensors = self._read("texts", number, [*names, *(f"{key}.more.{one}" for one in further)])
        tensors, told = tensors[: len(names)], tensors[len(names) :]
        pooled = tensors.pop().float() if entry["pooled"] else None
        return Text(
            compact.restored(entry["shape"], list(zip(entry["segments"], tensors, strict=True))),
            pooled,
            {one: _as_used(tensor) for one, tensor in zip(further, told, strict=True)},
        )

    def _read(self, kind: str, number: int, names: Sequence[str]) -> list[Tensor]:
        """An entry's tensors, each checked the first time."""
        path = self._places[kind].shard_of(number)
        try:
            tensors = [self._open(path).get_tensor(name) for name in names]
        except OSError as error:
            raise BadInput(f"The cache shard {path} cannot be read ({error}).") from error
        except SafetensorError:
            raise _damaged(path) from None
        if not self._checked[kind][number]:
            digests = self._shard(kind, number).digests
            for name, tensor in zip(names, tensors, strict=True):
                if shards.digest(name, tensor) != digests.get(name):
                    raise _damaged(path)
            self._checked[kind][number] = True
        return tensors

    def _shard(self, kind: str, number: int) -> shards.Shard:
        path = self._places[kind].shard_of(number)
        try:
            return self._contents(path)
        except shards.Damaged:
            raise _damaged(path) from None


def texts(pairs: Sequence[Pair], further: Sequence[str] = ()) -> Iterator[str]:
    """Every caption that must be embedded, in order of first appearance, some more than once."""
    for own, negatives in texts_of(pairs):
        yield from own
        yield from negatives
    yield from further


def distinct(pairs: Sequence[Pair], further: Sequence[str] = ()) -> list[str]:
    """The same, each once."""
    return list(dict.fromkeys(texts(pairs, further)))


def lacking(captions: Iterator[str], places: Places) -> Iterator[str]:
    """Those of the captions that lie nowhere yet, each once."""
    given: set[str] = set()
    while some := list(islice(captions, _TOGETHER)):
        found = places.find(packed(map(keys.of_caption, some)))
        for at in np.flatnonzero(found < 0):
            if some[at] not in given:
                given.add(some[at])
                yield some[at]


def lacking_images(images: Sequence[str], places: Places) -> list[int]:
    """Indices of the keys that lie nowhere yet, of equal ones the first."""
    first = {images[at]: int(at) for at in np.flatnonzero(places.find(_bytes(images)) < 0)[::-1]}
    return sorted(first.values())


def _bytes(images: Sequence[str]) -> bytes:
    return images.packed if isinstance(images, keys.Keys) else packed(images)


def _damaged(path: Path) -> BadInput:
    """Refusal of a shard that changed since it was found sound; it is made anew at the next start,
    also where neither its size nor its time tells."""
    path.unlink(missing_ok=True)
    return BadInput(f"The cache shard {path} has been damaged; run again to recompute it.")


def _open(path: Path):
    return safe_open(path, framework="pt")


def _as_used(tensor: Tensor) -> Tensor:
    """Numbers of words and masks are no fractions."""
    return tensor.float() if tensor.is_floating_point() else tensor
