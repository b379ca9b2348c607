"""Which strength the held-out pairs speak for, once training is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from .batches import Batch
from .engine import Outcome
from .processes import Processes
from .validation import validate

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""As weights of the tokens in attention, which cost one pass each."""


def losses(
    evaluate: Callable[[Batch, range, float], Outcome],
    batches: list[tuple[str, Batch]],
    processes: Processes,
) -> dict[str, float]:
    """The held-out loss at each of STRENGTHS, by the strength as text.

    evaluate: a batch's loss and hits over some of its rows, with tokens of this weight.
    """
    return {
        f"{strength:g}": validate(partial(_at, evaluate, strength), batches, processes).loss
        for strength in STRENGTHS
    }


def _at(
    evaluate: Callable[[Batch, range, float], Outcome], strength: float, batch: Batch, rows: range
) -> Outcome:
    return evaluate(batch, rows, strength)


def recommended(found: dict[str, float]) -> str | None:
    """The strength of the lowest loss, the stronger of equals; None where none is a number.

    It tells how strongly the tokens tell held-out captions apart best. Which strength paints best
    is another question, that only pictures answer.
    """
    finite = {strength: loss for strength, loss in found.items() if math.isfinite(loss)}
    return min(reversed(finite), key=finite.__getitem__, default=None)
