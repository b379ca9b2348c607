"""Which images, captions, timestep and noise make each step's batch."""

from __future__ import annotations

import bisect
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..errors import BadInput
from ..settings.randomness import python_random, torch_generator

HardCaptions = Callable[[str, random.Random], Sequence[str]]
"""hard_captions(caption, rng): captions that differ from this one in one thing, in random order."""


class Cache(Protocol):
    """What training reads: see training/cache."""

    def __len__(self) -> int: ...
    def latent(self, index: int) -> Tensor: ...
    def captions(self, index: int) -> Sequence[str]: ...
    def negatives(self, index: int) -> Sequence[str]: ...


@dataclass(frozen=True)
class Batch:
    """B images, one timestep, one noise.

    captions: the distinct captions in play. candidates: for each image, indices into captions;
    its own comes first, captions equal to it are left out. images: indices into the cache.
    timestep: entry of the model's schedule. noise: (1, C, h, w), shared by all images. replayed:
    for each image, which places of its candidates, other than 0, have a gradient; None for all.
    worse: where pictures are compared, for each image one that is worse; both of its candidates are
    then its own caption.
    """

    images: tuple[int, ...]
    captions: tuple[str, ...]
    candidates: tuple[tuple[int, ...], ...]
    timestep: int
    noise: Tensor
    replayed: tuple[tuple[int, ...], ...] | None = None
    worse: tuple[int, ...] = ()

    @property
    def negatives(self) -> int:
        return sum(len(row) - 1 for row in self.candidates)


@dataclass(frozen=True)
class Batches:
    """All batches of a run, by step. Images of a batch share one latent shape.

    Every image is shown equally often in the long run: a shape whose images do not fill whole
    batches has one more batch in some epochs than in others, and one with fewer images than a
    batch has a smaller batch of them all, with fewer negatives (`data.buckets` leaves none).

    images: the training split. shapes: latent shape (C, h, w) by image. hard_share: the share of a
    row's negatives, 0 ... 1, that are hard captions of its own caption (as far as there are any).
    negatives: a row has this many, drawn anew each step from all it could have; None for all.
    replay: so many of them, drawn evenly, have a gradient; None for all.
    worse: where pictures are compared, the images that are worse than each.
    Raises BadInput where there are fewer images than a batch has, or one is alone in its shape.
    """

    cache: Cache
    images: tuple[int, ...]
    shapes: Mapping[int, tuple[int, ...]]
    size: int
    timesteps: int
    seed: int
    hard_share: float = 0.0
    hard_captions: HardCaptions | None = None
    negatives: int | None = None
    replay: int | None = None
    worse: Mapping[int, Sequence[int]] | None = None
    _kept: dict[int, list[list[int]]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size > len(self.images):
            raise BadInput(
                f"A batch of {self.size} is larger than the training set of {len(self.images)} "
                "pairs: lower --batch-size or add pictures."
            )
        alone = [shape for shape, group in self._groups.items() if len(group) == 1]
        if alone and self.size > 1:
            raise BadInput(
                f"{len(alone)} of {len(self.images)} pictures to train on have a latent shape of "
                f"their own, such as {alone[0]}: nothing tells them apart from another; crop them "
                "to the shape of others or remove them."
            )

    def __getitem__(self, step: int) -> Batch:
        """The batch of step 0, 1, ...; the same whenever it is asked for."""
        # Every epoch has a batch of each shape, so epoch `step` begins at `step` or later.
        epoch = bisect.bisect_right(range(step + 1), step, key=self._steps_before) - 1
        images = self._epoch(epoch)[step - self._steps_before(epoch)]
        rng = python_random(self.seed, "timestep", step)
        return self.compose(images, rng.randrange(self.timesteps), ("step", step))

    def compose(
        self, images: Sequence[int], timestep: int, purpose: tuple[str | int, ...]
    ) -> Batch:
        """A batch of these images at this timestep; `purpose` names its captions and noise."""
        rng = python_random(self.seed, "captions", *purpose)
        own = [rng.choice(list(self.cache.captions(image))) for image in images]
        if self.worse is not None:
            return self._compared(images, own, timestep, purpose)
        index: dict[str, int] = {}
        candidates = []
        for row, (image, caption) in enumerate(zip(images, own, strict=True)):
            others = own[row + 1 :] + own[:row]
            hard = self._hard(image, caption, rng)
            names = negatives(caption, others, hard, self.hard_share, self.negatives or 0)
            if self.negatives is not None and self.negatives < len(names):
                kept = sorted(rng.sample(range(len(names)), self.negatives))
                names = [names[at] for at in kept]
            candidates.append(
                tuple(index.setdefault(name, len(index)) for name in (caption, *names))
            )
        noise = self._noise(images, purpose)
        replayed = None
        if self.replay is not None:
            draw = python_random(self.seed, "replay", *purpose)
            replayed = tuple(self._replayed(len(row), draw) for row in candidates)
        return Batch(tuple(images), tuple(index), tuple(candidates), timestep, noise, replayed)

    def _compared(
        self,
        images: Sequence[int],
        captions: Sequence[str],
        timestep: int,
        purpose: tuple[str | int, ...],
    ) -> Batch:
        """The batch of these images and, for each, one that is worse under the same caption."""
        rng = python_random(self.seed, "worse", *purpose)
        worse = tuple(rng.choice(list(self.worse[image])) for image in images)
        names = tuple(dict.fromkeys(captions))
        candidates = tuple((names.index(caption),) * 2 for caption in captions)
        noise = self._noise(images, purpose)
        return Batch(tuple(images), names, candidates, timestep, noise, worse=worse)

    def _noise(self, images: Sequence[int], purpose: tuple[str | int, ...]) -> Tensor:
        shape = (1, *self.shapes[images[0]])
        return torch.randn(shape, generator=torch_generator(self.seed, "noise", *purpose))

    def _replayed(self, count: int, rng: random.Random) -> tuple[int, ...]:
        return tuple(sorted(rng.sample(range(1, count), min(self.replay, count - 1))))

    def _hard(self, image: int, caption: str, rng: random.Random) -> list[str]:
        """What the user wrote for this image first, then what was made from its caption."""
        if self.hard_share == 0.0:
            return []
        written = list(self.cache.negatives(image))
        rng.shuffle(written)
        made = () if self.hard_captions is None else self.hard_captions(caption, rng)
        return [*written, *made]

    @functools.cached_property
    def _groups(self) -> dict[tuple[int, ...], list[int]]:
        groups: dict[tuple[int, ...], list[int]] = {}
        for image in self.images:
            groups.setdefault(self.shapes[image], []).append(image)
        return groups

    def _batches_before(self, epoch: int, group: Sequence[int]) -> int:
        """How many batches a shape's images make in the epochs before this one."""
        return epoch * len(group) // min(self.size, len(group))

    def _steps_before(self, epoch: int) -> int:
        return sum(self._batches_before(epoch, group) for group in self._groups.values())

    def _epoch(self, epoch: int) -> list[list[int]]:
        """The epoch's batches in order; the latest epoch is kept, as shuffling takes a while."""
        if epoch in self._kept:
            return self._kept[epoch]
        rng = python_random(self.seed, "epoch", epoch)
        batches: list[list[int]] = []
        for group in self._groups.values():
            shuffled = rng.sample(group, len(group))
            size = min(self.size, len(group))
            count = self._batches_before(epoch + 1, group) - self._batches_before(epoch, group)
            # Where there is a batch more than whole ones, it begins the order anew.
            shuffled += shuffled[:size]
            batches += [shuffled[at : at + size] for at in range(0, count * size, size)]
        rng.shuffle(batches)
        self._kept.clear()
        self._kept[epoch] = batches
        return batches


def negatives(
    own: str, others: Sequence[str], hard: Sequence[str], share: float, least: int = 0
) -> list[str]:
    """A row's negatives: as many as the batch has other captions, `share` of them hard.

    Equal captions are never each other's negatives, and none is taken twice. least: as many are
    sought, beyond the other captions by hard ones.
    """
    wanted = max(len(others), least)
    distinct_hard = [name for name in dict.fromkeys(hard) if name != own]
    chosen = distinct_hard[: round(share * wanted)]
    rest = [name for name in dict.fromkeys(others) if name != own and name not in chosen]
    found = chosen + rest[: wanted - len(chosen)]
    more = [name for name in distinct_hard[len(chosen) :] if name not in found]
    return found + more[: max(0, least - len(found))]
