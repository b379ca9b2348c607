"""The `layers` text: which blocks an adapter acts on, and how strongly.

A comma-separated choice of block numbers and ranges (`0-2,4`); for U-Nets `input`, `middle`,
`output` or blocks of one of them (`input.4`, `output.3-5`); each with an optional weight
(`0-1:1.0,2-4:0.5`). A later choice of the same block replaces an earlier one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import AdapterError

_SPAN = r"(\d+)(?:\s*-\s*(\d+))?"
_CHOICE = re.compile(
    rf"(?:(?P<group>input|middle|output)(?:\.{_SPAN})?|{_SPAN})"
    r"(?:\s*:\s*(?P<weight>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?))?",
    re.IGNORECASE,
)
_HELP = 'write block numbers and ranges such as "0-2,4", or "input", "middle", "output", "input.4"'


@dataclass(frozen=True)
class LayerChoice:
    """One item of the text. first and last are inclusive; None for a whole group."""

    group: str | None
    first: int | None
    last: int | None
    weight: float

    def takes(self, block: str) -> bool:
        """Whether the block of this name ("3", "input.4") is chosen."""
        group, _, number = block.rpartition(".")
        if (group or None) != self.group:
            return False
        return self.first is None or self.first <= int(number) <= self.last


def parse_layers(text: str) -> tuple[LayerChoice, ...]:
    """The choices in a `layers` text, none for an empty one. Raises AdapterError."""
    return tuple(_parse(item.strip()) for item in text.split(",") if item.strip())


def _parse(item: str) -> LayerChoice:
    match = _CHOICE.fullmatch(item)
    if match is None:
        raise AdapterError(f'"{item}" is not a choice of layers: {_HELP}.')
    first, last = (match[2], match[3]) if match["group"] else (match[4], match[5])
    low = None if first is None else int(first)
    high = low if last is None else int(last)
    weight = 1.0 if match["weight"] is None else float(match["weight"])
    if low is not None and high < low:
        raise AdapterError(f'The range "{item}" runs backwards: write the lower block first.')
    if not math.isfinite(weight):
        raise AdapterError(f'The weight in "{item}" is not a finite number.')
    return LayerChoice(match["group"] and match["group"].lower(), low, high, weight)


def choose_layers(choices: Iterable[LayerChoice], blocks: Sequence[str]) -> dict[str, float]:
    """Weight of every chosen block among `blocks` (names in the model's order).

    Raises AdapterError where a choice takes none of them, or a range reaches beyond them.
    """
    chosen: dict[str, float] = {}
    for choice in choices:
        taken = [block for block in blocks if choice.takes(block)]
        wanted = None if choice.group or choice.first is None else choice.last - choice.first + 1
        if not taken or (wanted is not None and len(taken) != wanted):
            raise AdapterError(
                f'The layers "{_spell(choice)}" are not all there: '
                f"choose among {', '.join(blocks)}."
            )
        chosen.update(dict.fromkeys(taken, choice.weight))
    return {block: chosen[block] for block in blocks if block in chosen}


def _spell(choice: LayerChoice) -> str:
    if choice.first is None:
        return choice.group or ""
    numbers = str(choice.first) if choice.first == choice.last else f"{choice.first}-{choice.last}"
    return f"{choice.group}.{numbers}" if choice.group else numbers
