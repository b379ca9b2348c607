"""Computes what a cache lacks."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..data import Framing, Pair
from ..errors import BadInput
from . import compact, keys, shards
from .catalog import Catalog, another_model
from .encoding import Encoder
from .places import Places
from .progress import progress
from .reading import Cache, lacking, lacking_images, wanted
from .texts import Drawn, Entry, embeddings, size

SHARD_ENTRIES = 128
"""At most this many entries are lost in a kill. SD3's texts make shards of 120 MB."""

_READERS = 4


def build(
    pairs: Sequence[Pair],
    encoder: Encoder,
    folder: Path,
    framing: Framing,
    *,
    images: Sequence[str] | None = None,
    further: Sequence[str] = (),
    cached: str = "all",
    bits: int = 16,
    rank: int = 0,
    world_size: int = 1,
    barrier: Callable[[], None] = lambda: None,
    shard_entries: int = SHARD_ENTRIES,
) -> Cache:
    """The cache of these pairs in `folder`, after computing what is not there yet.

    `images` are the pairs' keys as `keys.of_images` gives them, where they are known already.
    Every distinct caption is embedded once: the pairs', their negatives and the `further` ones;
    with `cached` "own" without the negatives, with "none" the `further` ones alone. All others are
    embedded when they are drawn. bits: 16, or 8 for texts of half the size.
    Shards that no earlier start has seen as they are now are checked against their hashes first; a
    damaged one is deleted with a notice and computed again. Entry i of what is missing belongs to
    rank i % world_size; all ranks share the folder, and `barrier` waits for all of them. The
    encoder is released at the end.

    Raises BadInput where the folder holds another model's cache, cannot be written or has too
    little room, where an image can no longer be decoded, or an encoder gives NaN.
    """
    _make(folder)
    images = keys.of_images(pairs, framing) if images is None else images
    catalog = Catalog(folder)
    unknown = catalog.refresh()
    # Another model's cache is refused before anything is touched.
    catalog.check(encoder.identity)
    _refuse_others(unknown, encoder.identity)
    barrier()  # no rank may write while another looks what is there
    if rank == 0:
        shards.sweep(folder)
    catalog.take(_sound(unknown[rank::world_size]))
    barrier()
    places = _present(catalog)
    missing = lacking_images(images, places["latents"])
    asked = wanted(pairs, further, cached)
    captions = list(lacking(asked, places["texts"], bits))
    whole = not missing and not captions  # for all ranks, which see the same
    missing, captions = missing[rank::world_size], captions[rank::world_size]
    barrier()  # no rank may look at what is present once another has begun to write

    writer = _Writer(catalog, encoder, shard_entries, quiet=rank != 0)
    pictures = [images[at] for at in missing]
    paths = [pairs[at].image for at in missing]
    writer.write("latents", zip(pictures, _latents(paths, encoder, framing), strict=True), paths)
    names = (keys.of_caption(caption, bits) for caption in captions)
    embedded = zip(names, embeddings(captions, encoder, bits), strict=True)
    writer.write("texts", embedded, captions)
    encoder.release()
    barrier()
    draw = None if cached == "all" else Drawn(encoder, bits)
    # Looking for a million captions takes a while: once where none was lacking.
    asked = iter(()) if whole else wanted(pairs, further, cached)
    places = places if whole else _present(catalog)
    return Cache(places, encoder.identity, pairs, images, further, asked, bits, draw)


@dataclass(frozen=True)
class Expected:
    """About how large a cache will be, in bytes. text: of one. texts: how many."""

    latents: int
    text: float
    texts: int

    @property
    def total(self) -> int:
        return round(self.latents + self.text * self.texts)


def expected(
    pairs: Sequence[Pair],
    encoder: Encoder,
    framing: Framing,
    further: Sequence[str] = (),
    cached: str = "all",
    bits: int = 16,
) -> Expected:
    """From one image and a few captions; writes nothing."""
    captions = list(dict.fromkeys(wanted(pairs, further, cached)))
    some = captions or [pairs[0].captions[0]]
    sample = some[:: max(1, len(some) // 4)][:4]
    latent = next(_latents([pairs[0].image], encoder, framing))
    texts = list(embeddings(sample, encoder, bits))
    text = sum(size(entry) for entry in texts) / len(texts)
    return Expected(size(latent) * len({pair.image for pair in pairs}), text, len(captions))


class _Writer:
    """Gathers entries into shards and writes each as soon as it is full."""

    def __init__(self, catalog: Catalog, encoder: Encoder, entries: int, quiet: bool) -> None:
        self.folder, self.catalog = catalog.folder, catalog
        self.encoder, self.entries, self.quiet = encoder, entries, quiet

    def write(self, kind: str, entries: Iterable[tuple[str, Entry]], all_: Sequence) -> None:
        gathered: dict[str, Entry] = {}
        label = {"latents": "images to latents", "texts": "captions to embeddings"}[kind]
        quiet = self.quiet or not all_
        counted = progress(entries, label, len(all_), disable=quiet, unit="")
        for number, (key, entry) in enumerate(counted):
            if number == 0:
                _check_room(self.folder, size(entry) * len(all_))
            gathered[key] = entry
            if len(gathered) == self.entries:
                self._flush(kind, gathered)
        if gathered:
            self._flush(kind, gathered)

    def _flush(self, kind: str, gathered: dict[str, Entry]) -> None:
        about = {key: entry[0] for key, entry in gathered.items()}
        tensors = {
            key + name: tensor
            for key, entry in gathered.items()
            for name, tensor in entry[1].items()
        }
        encoder = self.encoder
        made = shards.write(self.folder, kind, encoder.identity, encoder.name, about, tensors)
        self.catalog.take([made])
        gathered.clear()


def _latents(paths: Sequence[Path], encoder: Encoder, framing: Framing) -> Iterator[Entry]:
    """One image at a time: what a latent is must not depend on its neighbours in a batch."""
    for path, picture in _ahead(paths, framing):
        latent = encoder.latents(picture.unsqueeze(0))[0].float().cpu()
        try:
            stored = compact.halved(latent)
        except ValueError:
            raise BadInput(
                f"The VAE of {encoder.name} gives NaN for {path}; use a VAE in full precision."
            ) from None
        yield {"shape": list(stored.shape)}, {"": stored}


def _ahead(paths: Sequence[Path], framing: Framing) -> Iterator[tuple[Path, Tensor]]:
    """The framed pictures in order, a few of them decoded ahead by threads."""

    def read(path: Path) -> Tensor:
        try:
            return torch.from_numpy(framing.read(path))
        except Exception as error:
            raise BadInput(
                f"{path} can no longer be decoded ({error}); run again without it."
            ) from error

    with ThreadPoolExecutor(_READERS) as pool:
        waiting = [pool.submit(read, path) for path in paths[: 2 * _READERS]]
        for number, path in enumerate(paths):
            picture = waiting.pop(0).result()
            if number + 2 * _READERS < len(paths):
                waiting.append(pool.submit(read, paths[number + 2 * _READERS]))
            yield path, picture


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The cache folder {folder} cannot be made ({error.strerror}); name another with "
            "--cache."
        ) from error


def _refuse_others(paths: Sequence[Path], model: str) -> None:
    """Raises BadInput where a shard comes from another model; one that is damaged is none."""
    for path in paths:
        with contextlib.suppress(shards.Damaged):
            shard = shards.read(path)
            if shard.model != model:
                raise another_model(path.parent, shard.model_name)


def _present(catalog: Catalog) -> dict[str, Places]:
    """What the folder holds, of all ranks, whose notes are not there where none can be made."""
    for path in catalog.refresh():
        with contextlib.suppress(shards.Damaged):
            catalog.take([shards.read(path)])
    return catalog.places()


def _sound(paths: Sequence[Path]) -> Iterator[shards.Shard]:
    """The shards that are what was written; damaged ones are deleted."""
    for path in paths:
        try:
            shard = shards.read(path)
            shards.verify(shard)
            yield shard
        except shards.Damaged:
            tqdm.write(f"{path} is damaged and will be computed again.", file=sys.stderr)
            path.unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BadInput(
            f"The cache needs {needed / 1e9:.1f} GB more, but {folder} has {free / 1e9:.1f} GB "
            "free; name a folder on another disk with --cache."
        )
