"""A caption as it is drawn: its tags in another order, or no caption at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

NONE = ""
"""What a dropped caption becomes: the empty prompt. No pair has it, blank captions are left out."""
_TRIES = 8
"""For each order that is sought: short captions have few."""


@dataclass(frozen=True)
class Variants:
    """What captions become in training; the same for the same seed, whenever it is asked for.

    dropout: share of the own captions that are the empty prompt. orders: of each caption's tags,
    parts between commas; 1 leaves captions as they are. keep: so many tags stay in front.
    """

    dropout: float = 0.0
    orders: int = 1
    keep: int = 0
    seed: int = 0

    def of(self, caption: str) -> tuple[str, ...]:
        """The caption itself and the other orders it is drawn in, `orders` of them at most."""
        front, rest = self._tags(caption)
        if self.orders == 1 or len(rest) < 2:
            return (caption,)
        rng = random.Random(f"{self.seed} order {caption}")
        found = {(*front, *rest): caption}
        for _ in range(_TRIES * self.orders):
            if len(found) == self.orders:
                break
            order = (*front, *rng.sample(rest, len(rest)))
            found.setdefault(order, ", ".join(order))
        return tuple(found.values())

    def drawn(self, captions: Sequence[str], rng: random.Random) -> list[str]:
        """Each caption in one of its orders. Those of the same tags get the same one, so that they
        are not each other's negatives."""
        if self.orders == 1:
            return list(captions)
        first: dict[tuple, str] = {}
        for caption in captions:
            front, rest = self._tags(caption)
            first.setdefault((*front, *sorted(rest)), rng.choice(self.of(caption)))
        return [first[(*front, *sorted(rest))] for front, rest in map(self._tags, captions)]

    def drops(self, rng: random.Random) -> bool:
        """Whether an own caption is left out this time."""
        return self.dropout > 0.0 and rng.random() < self.dropout

    def further(self, captions: Sequence[str]) -> list[str]:
        """What is drawn beside the captions themselves."""
        varied = captions if self.orders > 1 else ()
        orders = [order for caption in varied for order in self.of(caption)[1:]]
        return [*orders, *([NONE] if self.dropout else [])]

    def _tags(self, caption: str) -> tuple[list[str], list[str]]:
        """Those that stay in front, and the others."""
        tags = [tag for part in caption.split(",") if (tag := part.strip())]
        return tags[: self.keep], tags[self.keep :]


AS_THEY_ARE = Variants()
"""No caption is another one."""
