"""What a vote is, and how far a voter agrees with themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ANSWERS = ("left", "right", "tie", "both_bad")
_SWAPPED = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Vote:
    """One standing vote.

    prompt: its id. answer: one of ANSWERS. repeat: the voter had been shown this pair before, with
    the sides the other way round. time: seconds since 1970, UTC.
    """

    voter: str
    prompt: str
    seed: int
    left_arm: str
    right_arm: str
    answer: str
    repeat: bool
    time: float


@dataclass(frozen=True)
class Consistency:
    """How many of a voter's repeats got the same answer as the first time, sides accounted for."""

    same: int
    repeats: int

    @property
    def share(self) -> float | None:
        """In 0..1; None where nothing was repeated."""
        return self.same / self.repeats if self.repeats else None


def consistency(votes: Iterable[Vote]) -> dict[str, Consistency]:
    """Of every voter, in the order of their first vote.

    A repeat whose first vote was taken back counts for nothing.
    """
    votes = list(votes)
    first = {
        (vote.voter, vote.prompt, vote.seed, vote.left_arm, vote.right_arm): vote.answer
        for vote in votes
        if not vote.repeat
    }
    found = {vote.voter: Consistency(0, 0) for vote in votes}
    for vote in votes:
        before = first.get((vote.voter, vote.prompt, vote.seed, vote.right_arm, vote.left_arm))
        if vote.repeat and before is not None:
            so_far = found[vote.voter]
            same = vote.answer == _SWAPPED.get(before, before)
            found[vote.voter] = Consistency(so_far.same + same, so_far.repeats + 1)
    return found
