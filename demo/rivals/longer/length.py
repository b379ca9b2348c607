"""Longer prompts for the same pictures: does an adapter that learned from short captions lose?

No caption that the kept base or an adapter was trained on is so long (`long_base` has read such).
Of the kinds tried on 125 prompts for choosing these are the ones that the kept base understands
best without an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ... import world
from ...sweep.short.forward import Short
from ...sweep.short.training import Pairs


def said_twice(scene: world.Scene) -> str:
    """Fourteen to sixteen words."""
    return f"{world.caption(scene)} {world.caption(scene)}"


def with_setting(scene: world.Scene) -> str:
    """Twelve or thirteen words, five of which the base has never read."""
    return f"{world.caption(scene)} {world.SETTING}"


KINDS: Mapping[str, Callable[[world.Scene], str]] = MappingProxyType(
    {"said twice": said_twice, "with a setting": with_setting}
)
"""Parts of the rows beside "choosing" and "judged", and their prompts."""
LENGTHS: Mapping[str, Callable[[world.Scene], str]] = MappingProxyType(
    {"the caption": world.caption, **KINDS}
)


@dataclass(frozen=True, eq=False)
class Mixed(Pairs):
    """Pairs of which a step draws any length of caption."""

    scenes: Sequence[world.Scene]

    @classmethod
    def of(cls, model: Short, scenes: Sequence[world.Scene], seed: int) -> Mixed:
        """Drawn as `Pairs.drawn` draws them."""
        plain = Pairs.drawn(model, scenes, seed)
        return cls(plain.latents, plain.texts, scenes)

    def captions(self, index: int) -> Sequence[str]:
        """The scene in every kind of words."""
        return [tell(self.scenes[index]) for tell in LENGTHS.values()]


METHODS = (
    "CFG",
    "CFG++",
    "SoftREPA, demo",
    "AGSM",
    "SoftREPA, demo + CFG++",
    "SoftREPA, recommended",
    "SoftREPA, recommended, at half strength",
    "SoftREPA, mixed lengths",
)
"""What is measured on them."""


def prompt(part: str, scene: world.Scene) -> str:
    """The scene in words, as this part of the rows has it."""
    return KINDS.get(part, world.caption)(scene)
