"""One batch on the device, and the parts in which it is predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..model.denoiser import Conditions, Denoiser, Noisy
from .batches import Batch


@dataclass(frozen=True)
class Pair:
    """An image of the batch under one of its candidate captions. picture: the image's latent."""

    row: int
    caption: int
    own: bool
    picture: int


@dataclass(frozen=True)
class Task:
    """One batch on the device, ready to be predicted. replayed: see `Batch`.

    compared: the candidates are pictures, the rows' own and behind these each row's worse one.
    """

    noisy: Noisy
    conditions: Conditions
    candidates: Sequence[Sequence[int]]
    negatives: int
    replayed: Sequence[Sequence[int]] | None = None
    compared: bool = False

    def pairs(self, row: int) -> list[Pair]:
        rows = len(self.candidates) if self.compared else 0
        return [
            Pair(row, caption, at == 0, row + at * rows)
            for at, caption in enumerate(self.candidates[row])
        ]

    def target(self, row: int) -> Tensor:
        """What perfect predictions of a row are: (C, h, w), or of each picture, (n, C, h, w)."""
        if not self.compared:
            return self.noisy.target[row]
        return taken(self.noisy.target, [pair.picture for pair in self.pairs(row)])

    def shares(self, row: int) -> list[float]:
        """What each candidate's gradient counts: 0 where it is not replayed, else 1 / probability,
        so that over the draws the gradient is the whole one's."""
        count = len(self.candidates[row])
        if self.replayed is None:
            return [1.0] * count
        drawn = self.replayed[row]
        share = (count - 1) / len(drawn) if drawn else 0.0
        return [1.0, *(share if at in drawn else 0.0 for at in range(1, count))]


def prepare(denoiser: Denoiser, batch: Batch, latents: Tensor, texts: Sequence[Any]) -> Task:
    """A batch's latents, (B, C, h, w), and encoded captions (in the batch's order) as a Task.

    Where pictures are compared there are the worse ones' latents too, (2B, C, h, w).
    """
    latents = latents.to(denoiser.device, torch.float32)
    noisy = denoiser.noised(latents, batch.noise.to(denoiser.device), batch.timestep)
    conditions = denoiser.conditions(texts, latents)
    return Task(
        noisy,
        conditions,
        batch.candidates,
        batch.negatives,
        batch.replayed,
        compared=bool(batch.worse),
    )


def groups(task: Task, rows: Iterable[int], limit: int) -> Iterator[list[int]]:
    """As many consecutive rows as fit one micro-batch, at least one."""
    group: list[int] = []
    pairs = 0
    for row in rows:
        count = len(task.candidates[row])
        if group and pairs + count > limit:
            yield group
            group, pairs = [], 0
        group.append(row)
        pairs += count
    if group:
        yield group


def micro_batches(
    task: Task, pairs: Sequence[Pair], chosen: Iterable[int], limit: int
) -> Iterator[list[int]]:
    """Positions in `pairs`, in parts of equal size up to the limit and of one text length each."""
    by_shape: dict[Any, list[int]] = {}
    for at in chosen:
        by_shape.setdefault(task.conditions.shapes[pairs[at].caption], []).append(at)
    for positions in by_shape.values():
        parts = math.ceil(len(positions) / limit)
        size = math.ceil(len(positions) / parts)
        for start in range(0, len(positions), size):
            yield positions[start : start + size]


def assembled(parts: Sequence[tuple[list[int], Tensor]], count: int) -> Tensor:
    """Predictions in the pairs' order, (count, C, h, w), without graph."""
    found: list[Tensor | None] = [None] * count
    for at, predictions in parts:
        for place, one in zip(at, predictions.detach(), strict=True):
            found[place] = one
    return torch.stack(found)


def taken(tensor: Tensor, places: Sequence[int]) -> Tensor:
    """tensor[places], without sending the places to the device, which would wait for it."""
    return torch.stack([tensor[place] for place in places])
