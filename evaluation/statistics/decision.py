"""What the votes on two arms say: the rule by which a gain is called, however often one looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import anytime
from .anytime import Anytime
from .rates import sign_test

ALPHA = 0.05


@dataclass(frozen=True)
class Decision:
    """The votes' answer on whether an arm is better than another.

    called: "gain", "loss" or "undecided". share: of decisive votes won, every prompt counting
    alike, nan for none. anytime: from the first decisive vote of each prompt. p: the exact sign
    test over prompts of the first `planned` decisive votes, None until they are there.
    """

    called: str
    share: float
    won: int
    lost: int
    prompts: int
    anytime: Anytime
    planned: int | None
    p: float | None

    @property
    def decisive(self) -> int:
        """Votes for either arm."""
        return self.won + self.lost


def decide(
    prompts: Sequence[str], won: Sequence[bool], planned: int | None = None, alpha: float = ALPHA
) -> Decision:
    """Decide from decisive votes in the order given: the prompt of each, and whether it was won.

    A gain (or a loss) is called where the anytime interval of the first vote of each prompt has
    ever left a half, or where the sign test has p < alpha once `planned` votes are there: a gain
    that is none comes from the one with a chance of alpha / 2 and from the other with as much, so
    at most alpha in all, whenever anyone looks. `planned` must have been fixed before the votes.
    """
    if len(prompts) != len(won):
        raise ValueError(f"a prompt for each vote needed, got {len(prompts)} and {len(won)}")
    first: dict[str, float] = {}
    for prompt, vote in zip(prompts, won, strict=True):
        first.setdefault(prompt, float(vote))
    state = anytime.sequence(list(first.values()), alpha)
    directions, p = {state.direction}, None
    if planned is not None and len(won) >= planned > 0:
        above, below = _majorities(prompts[:planned], won[:planned])
        p = sign_test(above, below)
        if p < alpha:
            directions.add(1 if above > below else -1)
    directions.discard(0)
    called = {(1,): "gain", (-1,): "loss"}.get(tuple(directions), "undecided")
    wins = sum(map(bool, won))
    share = float(np.mean(list(_shares(prompts, won).values()))) if len(won) else float("nan")
    return Decision(called, share, wins, len(won) - wins, len(first), state, planned, p)


def _shares(prompts: Sequence[str], won: Sequence[bool]) -> dict[str, float]:
    """The share won of each prompt's votes."""
    found: dict[str, list[bool]] = {}
    for prompt, vote in zip(prompts, won, strict=True):
        found.setdefault(prompt, []).append(bool(vote))
    return {prompt: sum(votes) / len(votes) for prompt, votes in found.items()}


def _majorities(prompts: Sequence[str], won: Sequence[bool]) -> tuple[int, int]:
    """On how many prompts most votes are won, and lost."""
    shares = _shares(prompts, won).values()
    return sum(share > 0.5 for share in shares), sum(share < 0.5 for share in shares)
