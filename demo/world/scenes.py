"""What pictures of the world can show, in words, and in which part of it a scene is."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

SIZE = 64
"""Side of a picture in pixels."""

GROUND = (235, 235, 235)
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 220),
    "yellow": (240, 205, 30),
    "purple": (150, 50, 190),
    "black": (25, 25, 25),
}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("a", "two", "three")
RELATIONS = ("left of", "right of", "above", "below")
INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

MARK = "diagram"
"""The word by which the base model knows captions of a careful source: see demo/models/base."""

SETTING = "on a plain light ground"
"""Words of longer prompts, true of every picture and in no caption."""

Split = Literal["train", "held-out"]
HELD_OUT_SHARE = 0.15
PAIR_SHARE = 0.85
"""Share of sampled scenes that show two groups."""
SWEPT, SWEPT_SEED = 500, 1
"""The held-out scenes on which demo/sweep compares settings: how many, in which order."""


@dataclass(frozen=True)
class Group:
    """`number` (1 to 3) equal objects of one colour and one shape."""

    number: int
    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """One group, or two of different colour with the relation of the first to the second.

    `second` and `relation` are both None for a single group.
    """

    first: Group
    relation: str | None = None
    second: Group | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups in the order of the caption: one or two."""
        return (self.first,) if self.second is None else (self.first, self.second)


def caption(scene: Scene) -> str:
    """The scene in words, as in "two red circles left of a blue square"."""
    parts = [_group_words(scene.first)]
    if scene.second is not None:
        parts += [str(scene.relation), _group_words(scene.second)]
    return " ".join(parts)


def retold(scene: Scene) -> Scene:
    """The same picture told from its other group; a single group has one telling."""
    if scene.second is None:
        return scene
    return Scene(scene.second, INVERSE[str(scene.relation)], scene.first)


def canonical(scene: Scene) -> Scene:
    """The scene told from its left or upper group; equal for two tellings of one picture."""
    return scene if scene.relation in (None, "left of", "above") else retold(scene)


def split_of(scene: Scene) -> Split:
    """The part of the world a scene belongs to; both tellings of a picture share it.

    Single groups are few and always in the training part.
    """
    if scene.second is None:
        return "train"
    digest = hashlib.sha256(caption(canonical(scene)).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "held-out" if share < HELD_OUT_SHARE else "train"


def all_scenes(split: Split | None = None) -> Iterator[Scene]:
    """Every scene of the world, or of one part of it, in a fixed order."""
    groups = [
        Group(number, colour, shape)
        for number, colour, shape in itertools.product((1, 2, 3), COLOURS, SHAPES)
    ]
    singles = (Scene(group) for group in groups)
    pairs = (
        Scene(first, relation, second)
        for first, relation, second in itertools.product(groups, RELATIONS, groups)
        if first.colour != second.colour
    )
    for scene in itertools.chain(singles, pairs):
        if split is None or split_of(scene) == split:
            yield scene


def sample_scene(rng: np.random.Generator, split: Split = "train") -> Scene:
    """A random scene of one part of the world; the held-out part has pairs only."""
    while True:
        first = _sample_group(rng)
        if split == "train" and rng.random() >= PAIR_SHARE:
            return Scene(first)
        second = _sample_group(rng)
        scene = Scene(first, RELATIONS[rng.integers(len(RELATIONS))], second)
        if first.colour != second.colour and split_of(scene) == split:
            return scene


def held_out_scenes(count: int, seed: int) -> list[Scene]:
    """`count` different held-out scenes in a seeded order.

    Raises ValueError when the held-out part is smaller than `count`.
    """
    scenes = list(all_scenes("held-out"))
    if count > len(scenes):
        raise ValueError(f"{count} held-out scenes asked for, the world has {len(scenes)}")
    order = np.random.default_rng(seed).permutation(len(scenes))[:count]
    return [scenes[i] for i in order]


def unswept_scenes(count: int) -> list[Scene]:
    """`count` held-out scenes that come after those on which the sweep chose the settings.

    A gain shown on them owes nothing to that choice. ValueError as in `held_out_scenes`.
    """
    return held_out_scenes(SWEPT + count, SWEPT_SEED)[SWEPT:]


def misdescribe(scene: Scene, share: float, rng: np.random.Generator) -> Scene:
    """The scene as a careless caption tells it: each attribute redrawn with chance `share`.

    A redrawn attribute may keep its value. The result may break the rules of the world
    (two groups of one colour), as careless captions do; it is never a held-out scene.
    """
    while True:
        told = Scene(_misdescribe_group(scene.first, share, rng))
        if scene.second is not None:
            relation = scene.relation
            if rng.random() < share:
                relation = RELATIONS[rng.integers(len(RELATIONS))]
            told = replace(
                told, relation=relation, second=_misdescribe_group(scene.second, share, rng)
            )
        if split_of(told) == "train":
            return told


def _group_words(group: Group) -> str:
    plural = "s" if group.number > 1 else ""
    return f"{NUMBERS[group.number - 1]} {group.colour} {group.shape}{plural}"


def _sample_group(rng: np.random.Generator) -> Group:
    return Group(
        int(rng.integers(1, 4)),
        list(COLOURS)[rng.integers(len(COLOURS))],
        SHAPES[rng.integers(len(SHAPES))],
    )


def _misdescribe_group(group: Group, share: float, rng: np.random.Generator) -> Group:
    other = _sample_group(rng)
    swap = rng.random(3) < share
    return Group(
        other.number if swap[0] else group.number,
        other.colour if swap[1] else group.colour,
        other.shape if swap[2] else group.shape,
    )
