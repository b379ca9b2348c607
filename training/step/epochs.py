"""Which images each step shows."""

from __future__ import annotations

import bisect
import functools
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..settings.randomness import python_random

Group = Sequence[int]
"""The images of one latent shape."""


@dataclass(frozen=True)
class Epochs:
    """The images of every step, which share one latent shape; no image is twice in a batch.

    In the long run an image is shown as often as its weight says: all equally often without any. A
    shape whose images do not fill whole batches has one more batch in some epochs than in others,
    and one with fewer images than a batch has a smaller batch of them all. An epoch shows each
    image of the lowest weight once.

    groups: images by latent shape. weights: by image; None where all are equal. What would have to
    be more than once in a batch is in every batch, and so less often than its weight says.
    """

    groups: Mapping[tuple[int, ...], Group]
    size: int
    seed: int
    weights: Mapping[int, float] | None = None
    _kept: dict[int, list[list[int]]] = field(default_factory=dict, init=False, repr=False)

    def __getitem__(self, step: int) -> list[int]:
        """The images of step 0, 1, ...; the same whenever they are asked for."""
        # Every epoch has a batch of each shape, so epoch `step` begins at `step` or later.
        epoch = bisect.bisect_right(range(step + 1), step, key=self._steps_before) - 1
        return self._epoch(epoch)[step - self._steps_before(epoch)]

    @functools.cached_property
    def _relative(self) -> Mapping[int, float] | None:
        """The weights, the lowest being 1."""
        if self.weights is None or len(set(self.weights.values())) < 2:
            return None
        least = min(self.weights.values())
        return {image: weight / least for image, weight in self.weights.items()}

    @functools.cached_property
    def _sizes(self) -> list[tuple[float, int]]:
        """Of each shape: how many images an epoch shows, and how many a batch."""
        weights = self._relative
        return [
            (
                len(group) if weights is None else math.fsum(weights[image] for image in group),
                min(self.size, len(group)),
            )
            for group in self.groups.values()
        ]

    def _batches_before(self, epoch: int, shown: float, size: int) -> int:
        """How many batches a shape's images make in the epochs before this one."""
        return int(epoch * shown // size)

    def _steps_before(self, epoch: int) -> int:
        return sum(self._batches_before(epoch, *sizes) for sizes in self._sizes)

    def _epoch(self, epoch: int) -> list[list[int]]:
        """The epoch's batches in order; the latest epoch is kept, as shuffling takes a while."""
        if epoch in self._kept:
            return self._kept[epoch]
        rng = python_random(self.seed, "epoch", epoch)
        batches: list[list[int]] = []
        for group, (shown, size) in zip(self.groups.values(), self._sizes, strict=True):
            count = self._batches_before(epoch + 1, shown, size)
            count -= self._batches_before(epoch, shown, size)
            if self._relative is None:
                shuffled = rng.sample(group, len(group))
                # Where there is a batch more than whole ones, it begins the order anew.
                shuffled += shuffled[:size]
                batches += [shuffled[at : at + size] for at in range(0, count * size, size)]
            else:
                order = self._weighted(group, epoch)
                batches += _apart(order, rng.sample(group, len(group)), size, count)
        rng.shuffle(batches)
        self._kept.clear()
        self._kept[epoch] = batches
        return batches

    def _weighted(self, group: Group, epoch: int) -> list[int]:
        """As many of each image as are due in this epoch, spread evenly over it."""
        rng = python_random(self.seed, "weighted", epoch)
        order = []
        for image, phase in zip(group, self._phases(tuple(group)), strict=True):
            weight = self._relative[image]
            due = math.floor((epoch + 1) * weight + phase) - math.floor(epoch * weight + phase)
            start = rng.random()
            order += [((start + at) / due, image) for at in range(due)]
        return [image for _, image in sorted(order)]

    def _phases(self, group: tuple[int, ...]) -> list[float]:
        """When the parts of an image's weight come to one more: not of all in the same epoch."""
        rng = python_random(self.seed, "phases")
        return [rng.random() for _ in group]


def _apart(
    order: Sequence[int], others: Sequence[int], size: int, count: int
) -> Iterator[list[int]]:
    """`count` batches of `size` images in this order, one that is in a batch already put off to the
    next; where the order ends too early, `others` fill the last ones."""
    waiting: deque[int] = deque()
    coming, filling = iter(order), iter(())
    for _ in range(count):
        batch: dict[int, None] = {}
        put_off: list[int] = []
        while len(batch) < size:
            image = waiting.popleft() if waiting else next(coming, None)
            if image is None:
                image = next(filling, None)
                if image is None:
                    filling = iter(others)
                    continue
            if image in batch:
                put_off.append(image)
            else:
                batch[image] = None
        waiting = deque([*put_off, *waiting])
        yield list(batch)
