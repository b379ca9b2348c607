"""Whether a step can be trusted: loss, gradients and tokens against what was usual before.

The bounds are far beyond ordinary runs. On the demo world (SoftREPA as published, with
`--normalise --hard-share 0.5`, and AGSM; up to 120 steps) no loss after the first twenty steps was
above 1.2 times, no gradient above 2.7 times the greatest before, and tokens grew by less than half
a percent a step; at thirty times the usual learning rate, by up to 1.9 times.
"""

from __future__ import annotations

import math

from .measuring import Measured
from .output.state import Progress

SETTLING = 20
"""Steps that show what loss and gradients are usual, before either can explode."""
LOSS, GRADIENT = 10.0, 100.0
"""Times the greatest before: a step beyond is skipped."""
LEAST_GRADIENT = 1000.0
"""No gradient below this counts as exploded: with a fixed temperature they differ by 1e6 between
timesteps (measured: 7e-7 to 3.7), and the first twenty steps may all have been small ones."""
JUMP, GROWTH = 4.0, 1000.0
"""Tokens this many times as long as in any step before, or as in the first, are no good."""
MOST_BAD = 10
"""Steps in a row that may be skipped; then the run ends."""


class Diverged(Exception):
    """The run makes nothing good any more; the last good tokens have been saved."""


def fault_of_tokens(found: Measured, before: Progress) -> str:
    """Why the tokens themselves are broken, for good; empty where they are not."""
    if not math.isfinite(found.tokens):
        return "the tokens are no longer numbers"
    for known, factor in ((before.greatest_tokens, JUMP), (before.first_tokens, GROWTH)):
        if known and found.tokens > factor * known:
            return f"the tokens exploded (norm {known:.3g} before, {found.tokens:.3g} now)"
    return ""


def fault_of_step(found: Measured, before: Progress) -> str:
    """Why this step is not to be followed; empty where it is. The next one may be good again."""
    if not math.isfinite(found.loss):
        return "the loss is no longer a number"
    if not math.isfinite(found.gradient):
        return "the gradient overflowed"
    if before.step < SETTLING:
        return ""
    if found.loss > LOSS * before.greatest_loss:
        return f"the loss exploded ({found.loss:.3g}, at most {before.greatest_loss:.3g} before)"
    if found.gradient > max(LEAST_GRADIENT, GRADIENT * before.greatest_gradient):
        usual = f"at most {before.greatest_gradient:.3g} before"
        return f"the gradient exploded (norm {found.gradient:.3g}, {usual})"
    return ""


def learn(found: Measured, progress: Progress) -> None:
    """Takes a good step into what is usual."""
    progress.first_tokens = progress.first_tokens or found.tokens
    progress.greatest_tokens = max(progress.greatest_tokens, found.tokens)
    progress.greatest_loss = max(progress.greatest_loss, found.loss)
    progress.greatest_gradient = max(progress.greatest_gradient, found.gradient)
