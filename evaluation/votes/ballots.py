"""Which pair a voter sees next, and which picture on which side.

Every draw is a keyed hash of the voter, the ballot's number and what is drawn, under a secret of
the trial: the same again after a restart, and nobody without the secret can tell it beforehand.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from .trial import Painted

REPEATED = 0.1
"""Share of ballots that show an earlier pair once more, with the sides swapped."""
_GAP = 8
"""Ballots between a pair and its repeat, where there are enough pairs."""


@dataclass(frozen=True)
class Ballot:
    """One pair as one voter sees it. number: counts the voter's ballots from 0. repeats: the token
    of the ballot whose pair is shown again, or None. token: opaque; the page knows no more."""

    token: str
    voter: str
    number: int
    prompt: str
    seed: int
    left_arm: str
    right_arm: str
    repeats: str | None = None

    @property
    def pair(self) -> tuple[str, int, frozenset[str]]:
        return self.prompt, self.seed, frozenset((self.left_arm, self.right_arm))


@dataclass(frozen=True)
class Draw:
    """The draws of one ballot."""

    secret: bytes
    voter: str
    number: int

    def digest(self, *purpose: str | int) -> bytes:
        message = json.dumps([self.voter, self.number, *purpose]).encode()
        return hmac.new(self.secret, message, hashlib.sha256).digest()

    def share(self, *purpose: str | int) -> float:
        """Uniform in 0..1."""
        return int.from_bytes(self.digest(*purpose)[:6], "big") / (1 << 48)


def next_ballot(
    secret: bytes,
    voter: str,
    shown: Sequence[Ballot],
    answered: Collection[str],
    votes: Mapping[str, int],
    painted: Painted,
) -> Ballot | None:
    """The ballot after those the voter was shown; None where every pair was.

    Prompts are the unit: the voter goes through all of them before one comes again, and among
    those that are due the one with the fewest votes of everybody comes first. Within a prompt all
    pairs of arms and all seeds are equally likely. No answer plays a part, only counts.

    answered: tokens of the voter's ballots with a standing vote. votes: standing votes of
    everybody by prompt.
    """
    draw = Draw(secret, voter, len(shown))
    again = _to_repeat(shown, answered, painted)
    if again and draw.share("repeat") < REPEATED:
        return _repeat(draw, again)
    fresh = _fresh(draw, shown, votes, painted)
    if (
        fresh is None
        and again
        and sum(one.repeats is not None for one in shown) < (REPEATED * len(shown))
    ):
        return _repeat(draw, again)
    return fresh


def count_pairs(painted: Painted) -> int:
    return sum(_count(painted[prompt]) for prompt in painted)


def _fresh(
    draw: Draw, shown: Sequence[Ballot], votes: Mapping[str, int], painted: Painted
) -> Ballot | None:
    seen = {ballot.pair for ballot in shown}
    of_prompt = Counter(prompt for prompt, _, _ in seen)
    left = [prompt for prompt in painted if _unseen(painted, prompt, seen, of_prompt[prompt])]
    if not left:
        return None
    due = min((of_prompt[prompt], votes.get(prompt, 0)) for prompt in left)
    prompt = min(
        (one for one in left if (of_prompt[one], votes.get(one, 0)) == due),
        key=lambda one: draw.digest("prompt", one),
    )
    seed, first, second = min(
        (cell for cell in _cells(painted, prompt) if _pair(prompt, *cell) not in seen),
        key=lambda cell: draw.digest("pair", *cell),
    )
    if draw.digest("side")[0] & 1:
        first, second = second, first
    return Ballot(_token(draw), draw.voter, draw.number, prompt, seed, first, second)


def _unseen(painted: Painted, prompt: str, seen: Collection, count: int) -> bool:
    # Counting settles it for all but prompts that lost a picture after it was seen.
    return _count(painted[prompt]) > count or any(
        _pair(prompt, *cell) not in seen for cell in _cells(painted, prompt)
    )


def _to_repeat(
    shown: Sequence[Ballot], answered: Collection[str], painted: Painted
) -> list[Ballot]:
    repeated = {ballot.repeats for ballot in shown}
    gap = min(_GAP, max(2, count_pairs(painted) // 4))
    return [
        ballot
        for ballot in shown
        if ballot.repeats is None
        and ballot.token in answered
        and ballot.token not in repeated
        and ballot.number + gap < len(shown)
        and {ballot.left_arm, ballot.right_arm}
        <= set(painted.get(ballot.prompt, {}).get(ballot.seed, ()))
    ]


def _repeat(draw: Draw, ballots: Sequence[Ballot]) -> Ballot:
    first = min(ballots, key=lambda one: draw.digest("repeated", one.token))
    return Ballot(
        _token(draw), draw.voter, draw.number, first.prompt, first.seed,
        first.right_arm, first.left_arm, first.token,
    )  # fmt: skip


def _token(draw: Draw) -> str:
    return draw.digest("token").hex()[:32]


def _cells(painted: Painted, prompt: str) -> list[tuple[int, str, str]]:
    return [
        (seed, first, second)
        for seed, arms in painted[prompt].items()
        for first, second in combinations(arms, 2)
    ]


def _count(seeds: Mapping[int, Sequence[str]]) -> int:
    return sum(len(arms) * (len(arms) - 1) // 2 for arms in seeds.values())


def _pair(prompt: str, seed: int, first: str, second: str) -> tuple[str, int, frozenset[str]]:
    return prompt, seed, frozenset((first, second))
