"""Which pictures leave their bucket so that every bucket fills a batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ..errors import BadInput
from .pairs import Pair, Pairs
from .pictures.framing import Framing
from .pictures.images import opened, upright_size

Size = tuple[int, int]
LEAST_HELD_OUT = 2
"""Held-out pictures of one shape, below which there is no other caption to tell theirs from."""


@dataclass(frozen=True)
class Crop:
    """A picture that leaves its nearest bucket. kept: the share of it that is still seen."""

    image: Path
    nearest: Size
    size: Size
    kept: float


@dataclass(frozen=True)
class Plan:
    """How a run's pictures are framed, and which of them are cropped for it."""

    framing: Framing
    crops: tuple[Crop, ...] = ()
    batch_size: int = 1

    def __str__(self) -> str:
        """One line; empty where nothing is cropped."""
        if not self.crops:
            return ""
        shapes = len({crop.nearest for crop in self.crops})
        into = Counter(f"{crop.size[0]}x{crop.size[1]}" for crop in self.crops)
        most = ", ".join(f"{count} to {size}" for size, count in into.most_common(4))
        return (
            f"pictures cropped to another bucket: {len(self.crops)} of {shapes} rare shapes "
            f"({most}{', ...' if len(into) > 4 else ''}), as the {self.batch_size} pictures of a "
            "batch share one shape; a smaller --batch-size crops fewer"
        )


def plan(
    pairs: Sequence[Pair],
    framing: Framing,
    training: Iterable[int],
    held_out: Iterable[int],
    batch_size: int,
    follows: Mapping[int, int] = MappingProxyType({}),
) -> Plan:
    """The framing with which no picture is left out for its shape.

    follows: pictures framed as others are, by index. Raises BadInput where one is to be framed in
    two ways.

    A bucket with fewer pictures to train on than a batch has gives them to its nearest neighbour,
    the smallest bucket first, until all fill a batch or only one is left; a held-out picture alone
    in its bucket goes to the nearest that has another. The same pictures give the same plan.
    """
    if not framing.buckets:
        return Plan(framing, (), batch_size)
    nearest = [framing.size(*size) for size in _sizes(pairs)]
    chosen, all_ = list(nearest), Counter(nearest)
    for indices, least in ((training, batch_size), (held_out, LEAST_HELD_OUT)):
        _merge(chosen, indices, least, all_)
    for index, other in follows.items():
        chosen[index] = chosen[other]
    moved = [at for at, size in enumerate(chosen) if size != nearest[at]]
    crops = tuple(_crop(pairs[at], nearest[at], chosen[at]) for at in moved)
    if crops:
        _check_alike(pairs, chosen, crops)
    framing = replace(framing, crops={crop.image: crop.size for crop in crops})
    return Plan(framing, crops, batch_size)


def _merge(
    chosen: list[Size], indices: Iterable[int], least: int, all_: Mapping[Size, int]
) -> None:
    groups: dict[Size, list[int]] = {}
    for index in indices:
        groups.setdefault(chosen[index], []).append(index)
    while len(groups) > 1:
        # Of equally few the shape that is rarer in all of the data.
        size, moved = min(groups.items(), key=lambda item: (len(item[1]), all_[item[0]], item[0]))
        if len(moved) >= least:
            break
        del groups[size]
        target = min(groups, key=lambda other: (-_kept(size, other), -len(groups[other]), other))
        groups[target] += moved
        for index in moved:
            chosen[index] = target


def _crop(pair: Pair, nearest: Size, size: Size) -> Crop:
    return Crop(pair.image, nearest, size, _kept(pair.size or _size(pair.image), size))


def _check_alike(pairs: Sequence[Pair], chosen: Sequence[Size], crops: Iterable[Crop]) -> None:
    """Raises BadInput where a picture that is there more than once is to be framed in two ways."""
    framed = {crop.image: crop.size for crop in crops}
    for pair, size in zip(pairs, chosen, strict=True):
        if framed.get(pair.image, size) != size:
            raise BadInput(
                f"{pair.image} is compared with pictures of different shapes, and cannot be "
                "cropped to both: give --no-buckets, or leave one of these comparisons out."
            )


def _sizes(pairs: Sequence[Pair]) -> Iterable[Size]:
    """Of each upright picture, in order; a million of them are not to be had all at once."""
    if isinstance(pairs, Pairs):
        return pairs.sizes()
    return (pair.size or _size(pair.image) for pair in pairs)


def _kept(whole: Size, size: Size) -> float:
    """The share of a picture that a centre crop to another aspect ratio leaves."""
    ratio = math.log(whole[0] / whole[1]) - math.log(size[0] / size[1])
    return math.exp(-abs(ratio))


def _size(path: Path) -> Size:
    with opened(path) as image:
        return upright_size(image)
