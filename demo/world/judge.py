"""What a picture of the world shows, told from its pixels by geometry alone.

`look` finds the objects; `judge` holds what it saw against a scene, attribute by attribute.
Anything that is no clear object of the world (blank, garbage, objects run together) counts
as not shown; no input raises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import COLOURS, GROUND, NUMBERS, SIZE, Group, Scene

ATTRIBUTES = ("colour", "shape", "number", "relation", "all")

_FOREGROUND = 0.4
"""Distance from the ground, RGB in 0..1, above which a pixel may belong to an object."""
_COLOUR_REACH = 0.32
"""Distance from a colour of the world up to which a core pixel counts as that colour."""
_CORE_SHARE = 0.8
_SPECK = 14
"""Components of fewer pixels are noise."""
_SIDES = (9.0, 23.0)
_MIN_OVERLAP = 0.78
_MAX_ASPECT = 1.35
_MIN_DISTANCE = 8.0
"""Pixels by which the centres of two groups must differ along their relation's axis."""

Image = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """One object: its centre in pixels, and what it is; None where that is not clear."""

    colour: str | None
    shape: str | None
    x: float
    y: float


@dataclass(frozen=True)
class Verdict:
    """Per attribute, whether the picture shows the scene; `all` is their conjunction.

    `relation` is True for a single group that is there at all.
    """

    colour: bool
    shape: bool
    number: bool
    relation: bool

    @property
    def all(self) -> bool:
        """Whether every attribute is right."""
        return self.colour and self.shape and self.number and self.relation

    def as_dict(self) -> dict[str, bool]:
        """The truth of each of ATTRIBUTES."""
        return {**asdict(self), "all": self.all}


def look(picture: Any) -> list[Seen]:
    """The objects in an RGB picture (H, W, 3): uint8, or floats in 0..1; [] where none is.

    Pictures of other shapes, or with values that are no numbers, show nothing.
    """
    pixels = _as_pixels(picture)
    if pixels is None:
        return []
    distance = np.linalg.norm(pixels - np.array(GROUND) / 255, axis=-1)
    labels, count = ndimage.label(distance > _FOREGROUND)
    seen = []
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        if np.count_nonzero(labels[window] == index) >= _SPECK:
            seen.append(_recognise(pixels, labels, index, window))
    return seen


def judge(picture: Any, scene: Scene) -> Verdict:
    """Hold what `look` sees in the picture against the scene."""
    return judge_seen(look(picture), scene)


def judge_seen(seen: Sequence[Seen], scene: Scene) -> Verdict:
    """Hold objects seen against the scene.

    Objects of one colour are one group. The groups of the scene are matched with groups
    seen as well as they can be. A group more or fewer than the scene has makes colour and
    number false; shape and relation are then still judged on the groups matched.
    """
    groups = _groups(seen)
    wanted = scene.groups
    if len(groups) < len(wanted):
        return Verdict(False, False, False, False)
    options = (_compare(choice, scene) for choice in permutations(groups, len(wanted)))
    # Attributes first: a relation must not decide which group is which, or it would
    # be true of any two groups.
    best = max(options, key=lambda v: (v.colour + v.shape + v.number, v.colour, v.relation))
    whole = len(groups) == len(wanted)
    return Verdict(best.colour and whole, best.shape, best.number and whole, best.relation)


def describe(seen: Sequence[Seen]) -> str:
    """What was seen, in words for a contact sheet; groups run from upper left."""
    if not seen:
        return "nothing"
    kinds = Counter((s.colour or "unclear", s.shape or "blob") for s in seen)
    words = []
    for (colour, shape), number in kinds.items():
        count = NUMBERS[number - 1] if number <= len(NUMBERS) else str(number)
        count = "an" if count == "a" and colour[0] in "aeiou" else count
        words.append(f"{count} {colour} {shape}{'s' if number > 1 else ''}")
    groups = _groups(seen)
    if len(groups) == 2 and len(kinds) == 2:
        return f"{words[0]} {_relation(groups[0], groups[1])} {words[1]}"
    return ", ".join(words)


def _as_pixels(picture: Any) -> Image | None:
    try:
        array = np.asarray(picture)
        scale = 255.0 if array.dtype == np.uint8 else 1.0
        pixels = array.astype(np.float64) / scale
    except (TypeError, ValueError):
        return None
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < SIZE // 2:
        return None
    return np.clip(pixels, 0, 1) if np.isfinite(pixels).all() else None


def _recognise(
    pixels: Image, labels: NDArray[np.int32], index: int, window: tuple[slice, slice]
) -> Seen:
    rows, columns = (slice(max(s.start - 1, 0), s.stop + 1) for s in window)
    own = labels[rows, columns] == index
    patch = pixels[rows, columns]
    y, x = ndimage.center_of_mass(own)
    centre = {"x": float(x + columns.start), "y": float(y + rows.start)}
    colour = _colour(patch, own)
    if colour is None:
        return Seen(None, None, **centre)
    # Coverage of each pixel by the object, as antialiasing left it: sharper than the mask.
    ground, paint = np.array(GROUND) / 255, np.array(COLOURS[colour]) / 255
    axis = paint - ground
    coverage = np.clip((patch - ground) @ axis / (axis @ axis), 0, 1)
    near_own = ndimage.binary_dilation(own)
    return Seen(colour, _shape(np.where(near_own, coverage, 0)), **centre)


def _colour(patch: Image, own: NDArray[np.bool_]) -> str | None:
    core = ndimage.binary_erosion(own, iterations=2)
    if not core.any():
        core = ndimage.binary_erosion(own)
    if not core.any():
        return None
    palette = np.array(list(COLOURS.values())) / 255
    gaps = np.linalg.norm(patch[core][:, None] - palette, axis=-1)
    votes = np.where(gaps.min(axis=1) < _COLOUR_REACH, gaps.argmin(axis=1), -1)
    winner, share = max(
        ((c, float(np.mean(votes == c))) for c in range(len(palette))), key=lambda v: v[1]
    )
    return list(COLOURS)[winner] if share >= _CORE_SHARE else None


def _shape(coverage: Image) -> str | None:
    """The shape whose ideal form, fitted to the object's box, overlaps it best."""
    solid = coverage > 0.5
    if not solid.any():
        return None
    down, across = np.nonzero(solid.any(axis=1))[0], np.nonzero(solid.any(axis=0))[0]
    # A stray pixel widens the box, so each side may also lie one pixel further in; and a
    # triangle's tip is too thin for its pixels to count, so the top may lie further out.
    best, best_overlap = None, _MIN_OVERLAP
    for top, bottom, left, right in product((-1, 0, 1), (0, 1), (0, 1), (0, 1)):
        height = down[-1] + 1.0 - bottom - (down[0] + top)
        width = across[-1] + 1.0 - right - (across[0] + left)
        if not _SIDES[0] <= min(height, width) <= max(height, width) <= _SIDES[1]:
            continue
        if max(height, width) / min(height, width) > _MAX_ASPECT:
            continue
        y = (np.arange(coverage.shape[0])[:, None] + 0.5 - down[0] - top) / height
        x = (np.arange(coverage.shape[1])[None, :] + 0.5 - across[0] - left) / width
        for name, form in _forms(x, y).items():
            overlap = np.count_nonzero(solid & form) / np.count_nonzero(solid | form)
            if overlap >= best_overlap:
                best, best_overlap = name, overlap
    return best


def _forms(x: Image, y: Image) -> dict[str, NDArray[np.bool_]]:
    """Each shape as pixels of a box that x and y cross from 0 to 1."""
    inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    return {
        "circle": (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25,
        "square": inside,
        "triangle": inside & (np.abs(x - 0.5) <= y / 2),
    }


def _groups(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Objects of one colour together; each object of unclear colour is its own group."""
    groups: dict[str, list[Seen]] = {}
    for index, one in enumerate(seen):
        groups.setdefault(one.colour or f"unclear {index}", []).append(one)
    return list(groups.values())


def _compare(groups: Sequence[list[Seen]], scene: Scene) -> Verdict:
    pairs: list[tuple[list[Seen], Group]] = list(zip(groups, scene.groups, strict=True))
    return Verdict(
        colour=all(g[0].colour == wanted.colour for g, wanted in pairs),
        shape=all(one.shape == wanted.shape for g, wanted in pairs for one in g),
        number=all(len(g) == wanted.number for g, wanted in pairs),
        relation=scene.second is None or _relation(groups[0], groups[1]) == scene.relation,
    )


def _relation(first: Sequence[Seen], second: Sequence[Seen]) -> str:
    """How the first group lies to the second; "beside" where neither axis is clear."""
    dx = float(np.mean([s.x for s in second]) - np.mean([s.x for s in first]))
    dy = float(np.mean([s.y for s in second]) - np.mean([s.y for s in first]))
    if max(abs(dx), abs(dy)) < _MIN_DISTANCE:
        return "beside"
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"
