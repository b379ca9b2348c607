"""What a run would take, without taking it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from .. import cache as caching
from ..cache.reading import wanted
from ..model.denoiser import Denoiser
from ..model.design import tokens_for
from ..model.graph.options import room
from ..step.epochs import Epochs
from ..step.footprint import bytes_of_prediction
from ..step.memory import affordable
from ..step.validation import split
from .prepared import Prepared

_TRIED = 10_000
"""Batches that are drawn to tell how often pictures are shown."""


def report(prepared: Prepared) -> str:
    """A few lines: trainable parameters, pairs, steps, cache size and memory.

    Memory is counted on one prediction and its backward pass, none of which is computed, and then
    multiplied by the micro-batch.
    """
    settings, encoder = prepared.settings, prepared.encoder
    size = caching.expected(
        prepared.pairs,
        encoder,
        prepared.framing,
        prepared.further,
        settings.cache_texts,
        settings.text_bits,
    )
    text = encoder.texts([""])[0]
    side = prepared.framing.resolution
    latent = encoder.latents(torch.zeros(1, side, side, 3))
    encoder.release()
    denoiser = Denoiser(
        prepared.patcher, settings.precision, room=prepared.room, moving=encoder.moving
    )
    live = tokens_for(settings, denoiser.model, text.context[0])
    live = live.copy(denoiser.device, trainable=True)
    weights = sum(p.numel() * p.element_size() for p in denoiser.model.parameters())
    weight = settings.train_weight
    held = bytes_of_prediction(denoiser, live, latent, text, settings.checkpointing, weight)
    training, held_out = split(prepared.training_set.own, settings.val_fraction, settings.seed)
    micro_batch = settings.micro_batch
    if prepared.auto_micro_batch and denoiser.device.type != "cpu":
        micro_batch = affordable(denoiser.device, held, settings.row)
    outside = denoiser.outside()
    memory = weights - outside + held * micro_batch
    blocks = ", ".join(live.adapter.layers)
    return "\n".join(
        (
            f"trainable parameters: {live.adapter.parameters} ({live.adapter.banks} bank(s), "
            f"{settings.tokens} tokens, blocks {blocks})",
            f"in training a soft token counts {weight:g} time{'' if weight == 1.0 else 's'}",
            f"pairs: {len(training)} to train on, {len(held_out)} held out",
            f"steps: {settings.steps} of {settings.batch_size} images, "
            f"{settings.steps * settings.batch_size / max(1, len(training)):.1f} times the data",
            *_shown(prepared, training),
            *_varied(prepared),
            f"cache: {size.total / 1e6:.1f} MB, {size.total / len(prepared.pairs) / 1e6:.3f} MB a "
            f"pair ({size.latents / 1e6:.1f} latents + {size.texts} texts x {size.text / 1e6:.3f})",
            *_drawn(prepared, size),
            f"memory: about {memory / 1e9:.2f} GB on {denoiser.device} "
            f"({(weights - outside) / 1e9:.2f} weights + {micro_batch} x {held / 1e9:.3f} a "
            "prediction)",
            *_away(denoiser, settings.resolution, micro_batch, outside),
        )
    )


def _away(denoiser: Denoiser, resolution: int, predictions: int, outside: int) -> list[str]:
    """What lies in the main memory for lack of room. outside: bytes of weights."""
    if denoiser.place is None:
        return []
    there, less = room(denoiser.model, resolution, predictions)
    return [
        f"  for lack of room in the computer's main memory: about {(there - less) / 1e9:.2f} GB of "
        f"blocks' inputs and {outside / 1e9:.2f} GB of weights, fetched when they are needed"
    ]


def _shown(prepared: Prepared, training: Sequence[int]) -> list[str]:
    """How often the pictures of each folder are shown, where there are several."""
    settings, pairs = prepared.settings, prepared.pairs
    if len(settings.data) == 1:
        return []
    framing = prepared.framing
    groups: dict[tuple[int, int], list[int]] = {}
    for index in training:
        pair = pairs[index]
        shape = framing.crops.get(pair.image) or framing.size(*pair.size)
        groups.setdefault(shape, []).append(index)
    epochs = Epochs(groups, settings.batch_size, settings.seed, prepared.weights)
    batches = settings.steps * settings.accumulate
    tried = min(batches, _TRIED)
    times = Counter(image for step in range(tried) for image in epochs[step])
    lines = []
    for at, folder in enumerate(settings.data):
        own = [index for index in training if prepared.training_set.given(index) == at]
        shown = sum(times[index] for index in own)
        weight = f", weight {settings.data_weight[at]:g}" if settings.data_weight else ""
        lines.append(
            f"  {folder}: {len(own)} to train on{weight}, {shown / times.total():.1%} of what is "
            f"shown, each {shown / max(1, len(own)) * batches / tried:.1f} times"
        )
    return lines


def _drawn(prepared: Prepared, size: caching.Expected) -> list[str]:
    """Which texts are embedded when they are drawn, or could be."""
    settings = prepared.settings
    if settings.cache_texts != "all":
        most = settings.batch_size * (1 + (settings.row - 1 if settings.hard_share else 0))
        what = "hard captions, wrong ones of your own and orders of tags"
        what = what if settings.cache_texts == "own" else "all texts"
        return [f"  {what} are embedded when they are drawn, {most} a step at most"]
    own = sum(1 for _ in dict.fromkeys(wanted(prepared.pairs, (), "own")))
    if size.texts < 2 * own:
        return []
    less = size.latents + size.text * own
    return [f"  with --cache-texts own: {less / 1e6:.1f} MB, the others embedded when drawn"]


def _varied(prepared: Prepared) -> list[str]:
    """What becomes of captions when they are drawn."""
    settings = prepared.settings
    lines = []
    if settings.caption_dropout:
        lines.append(f"own captions left out: {settings.caption_dropout:.1%}")
    if settings.caption_shuffle:
        variants = settings.variants
        captions = dict.fromkeys(caption for pair in prepared.pairs for caption in pair.captions)
        orders = sum(len(variants.of(caption)) for caption in captions)
        lines.append(f"orders of tags: {orders} of {len(captions)} captions")
    return lines
