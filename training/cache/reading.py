"""The cache as training reads it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..data import Pair
from ..errors import BadInput
from . import compact, keys, shards
from .encoding import Text

_OPEN_SHARDS = 64


class Cache:
    """Latents and embeddings of a list of pairs, read from the shards as they are asked for.

    `identity` is a hash of the model, the images at their framing and all captions: equal for runs
    that see the same data. Every tensor is checked against its hash when it is first read.
    Raises BadInput where an entry is missing.
    """

    def __init__(
        self,
        folder: Path,
        model: str,
        pairs: Sequence[Pair],
        images: Sequence[str],
        further: Sequence[str] = (),
    ) -> None:
        """`images` are the pairs' keys as `keys.of_images` gives them, `model` the encoder's hash;
        `further` are captions of no pair that are embedded too."""
        self.identity = keys.of_run(model, pairs, images, further)
        self.folder = folder
        self._pairs = tuple(pairs)
        self._images = tuple(images)
        self._places = index(folder, model)
        self._checked: set[int] = set()
        self._open = functools.lru_cache(_OPEN_SHARDS)(_open)
        wanted = [("latents", key) for key in images]
        wanted += [("texts", keys.of_caption(caption)) for caption in distinct(pairs, further)]
        missing = sum(place not in self._places for place in wanted)
        if missing:
            raise BadInput(
                f"{missing} of {len(wanted)} entries are not in the cache {folder}; run again to "
                "have them computed."
            )

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
        shard = self._places["latents", self._images[index]]
        return tuple(shard.entries[self._images[index]]["shape"])

    def latent(self, index: int) -> Tensor:
        """(C, h, w) float32, as the denoiser sees it."""
        key = self._images[index]
        return self._read(self._places["latents", key], key).float()

    def text(self, caption: str) -> Text:
        """The embedding of any caption that the cache was built with. Raises KeyError on others."""
        key = keys.of_caption(caption)
        if ("texts", key) not in self._places:
            raise KeyError(f"this caption was not embedded: {caption}")
        shard = self._places["texts", key]
        entry = shard.entries[key]
        parts = [
            (segment, self._read(shard, f"{key}.{number}"))
            for number, segment in enumerate(entry["segments"])
        ]
        pooled = self._read(shard, f"{key}.pooled").float() if entry["pooled"] else None
        more = {name: self._read(shard, f"{key}.more.{name}") for name in entry.get("more", ())}
        more = {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in more.items()
        }
        return Text(compact.restored(entry["shape"], parts), pooled, more)

    def _read(self, shard: shards.Shard, name: str) -> Tensor:
        try:
            tensor = self._open(shard.path).get_tensor(name)
        except (OSError, SafetensorError):
            tensor = None
        known = hash((shard.path, name))  # a million names would take room
        right = known in self._checked or (
            tensor is not None and shards.digest(name, tensor) == shard.digests[name]
        )
        if tensor is None or not right:
            raise BadInput(
                f"The cache shard {shard.path} has been damaged; run again to recompute it."
            )
        self._checked.add(known)
        return tensor


def distinct(pairs: Sequence[Pair], further: Sequence[str] = ()) -> list[str]:
    """Every caption that must be embedded, once, in order of first appearance."""
    own = (caption for pair in pairs for caption in (*pair.captions, *pair.negatives))
    return list(dict.fromkeys([*own, *further]))


def index(folder: Path, model: str) -> dict[tuple[str, str], shards.Shard]:
    """Where each (kind, key) lies. Shards that cannot be read are left out.

    Raises BadInput where a shard comes from another model.
    """
    places: dict[tuple[str, str], shards.Shard] = {}
    for path in shards.paths(folder):
        try:
            shard = shards.read(path)
        except shards.Damaged:
            continue
        if shard.model != model:
            raise BadInput(
                f"The cache in {folder} was made with another model ({shard.model_name}); delete "
                "it or name another folder with --cache."
            )
        places.update({(shard.kind, key): shard for key in shard.entries})
    return places


def _open(path: Path):
    return safe_open(path, framework="pt")
