"""What the voters say of two arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...statistics.agreement import krippendorff
from ...statistics.decision import Decision, decide
from ...statistics.multiple import holm
from ...statistics.rates import Rate, sign_test, wilson
from ...trial import Prompt
from ...votes.vote import Vote, consistency


@dataclass(frozen=True)
class CategoryVotes:
    """On how many prompts of a category most decisive votes went to either arm."""

    won: int
    lost: int
    even: int
    adjusted: float

    @property
    def share(self) -> Rate | None:
        """The share of prompts won, of those that were decided; None for none."""
        return wilson(self.won, self.won + self.lost) if self.won + self.lost else None


@dataclass(frozen=True)
class VoteResult:
    """The votes on one pair of arms; repeats count for consistency only.

    `agreement`: Krippendorff's alpha of the voters, nan where they share no pair. `by_pair`: per
    (prompt, seed), the mean of 1 for the arm, -1 for the base and 0 for neither.
    """

    decision: Decision
    ties: int
    both_bad: int
    categories: Mapping[str, CategoryVotes]
    voters: int
    agreement: float
    consistency: Rate | None
    by_pair: Mapping[tuple[str, int], float]

    @property
    def by_prompt(self) -> dict[str, float]:
        """The mean over a prompt's pairs."""
        found: dict[str, list[float]] = {}
        for (prompt, _), value in self.by_pair.items():
            found.setdefault(prompt, []).append(value)
        return {prompt: sum(values) / len(values) for prompt, values in found.items()}


def compare_votes(
    votes: Iterable[Vote], prompts: Iterable[Prompt], base: str, arm: str, planned: int | None
) -> VoteResult | None:
    """The result of the votes on these two arms, in the order given; None for none."""
    categories = {prompt.id: prompt.category for prompt in prompts}
    mine = [v for v in votes if {v.left_arm, v.right_arm} == {base, arm} and v.prompt in categories]
    first = [vote for vote in mine if not vote.repeat]
    if not first:
        return None
    answers = [_answer(vote) for vote in first]
    decisive = [
        (v.prompt, a == arm) for v, a in zip(first, answers, strict=True) if a in (base, arm)
    ]
    counts = Counter(answers)
    pairs: dict[tuple[str, int], list[str]] = {}
    for vote, answer in zip(first, answers, strict=True):
        pairs.setdefault((vote.prompt, vote.seed), []).append(answer)
    worth = {arm: 1, base: -1}
    return VoteResult(
        decision=decide([p for p, _ in decisive], [w for _, w in decisive], planned),
        ties=counts["tie"],
        both_bad=counts["both_bad"],
        categories=_by_category(decisive, categories),
        voters=len({vote.voter for vote in mine}),
        agreement=krippendorff(list(pairs.values())),
        consistency=_consistency(mine),
        by_pair={k: sum(worth.get(a, 0) for a in each) / len(each) for k, each in pairs.items()},
    )


def _answer(vote: Vote) -> str:
    """The arm that was preferred, or tie, or both_bad."""
    return {"left": vote.left_arm, "right": vote.right_arm}.get(vote.answer, vote.answer)


def _by_category(
    decisive: Sequence[tuple[str, bool]], categories: Mapping[str, str]
) -> dict[str, CategoryVotes]:
    net: Counter[str] = Counter()
    for prompt, won in decisive:
        net[prompt] += 1 if won else -1
    found = {}
    for category in dict.fromkeys(categories.values()):
        values = [n for prompt, n in net.items() if category and categories[prompt] == category]
        if values:
            won, lost = sum(n > 0 for n in values), sum(n < 0 for n in values)
            found[category] = (won, lost, len(values) - won - lost)
    adjusted = holm({name: sign_test(won, lost) for name, (won, lost, _) in found.items()})
    return {name: CategoryVotes(*counts, adjusted[name]) for name, counts in found.items()}


def _consistency(votes: Sequence[Vote]) -> Rate | None:
    """How often a pair shown again, sides swapped, got the same answer, of all voters."""
    found = consistency(votes).values()
    repeats = sum(each.repeats for each in found)
    return wilson(sum(each.same for each in found), repeats) if repeats else None
