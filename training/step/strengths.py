"""Which strength the held-out pairs speak for, once training is over."""

from __future__ import annotations

import math
from collections.abc import Callable

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""As weights of the tokens in attention, which cost one pass each."""


def losses(loss_at: Callable[[float], float]) -> dict[str, float]:
    """The held-out loss at each of STRENGTHS, by the strength as text."""
    return {f"{strength:g}": loss_at(strength) for strength in STRENGTHS}


def recommended(found: dict[str, float]) -> str | None:
    """The strength of the lowest loss, the stronger of equals; None where none is a number.

    It tells how strongly the tokens tell held-out captions apart best. Which strength paints best
    is another question, that only pictures answer.
    """
    finite = {strength: loss for strength, loss in found.items() if math.isfinite(loss)}
    return min(reversed(finite), key=finite.__getitem__, default=None)
