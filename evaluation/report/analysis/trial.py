"""A trial's numbers: every other arm against the first, by every scorer and by the voters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...errors import TrialError
from ...statistics.agreement import follows
from ...statistics.rates import Rate
from ...trial import Cell, Manifest, Score, Trial
from .cost import Cost, costs
from .scores import ScorerResult, compare_scores, scorers
from .votes import Vote, VoteResult, compare_votes

VOTES = "votes"
SHOWN = 6
"""Pairs shown of the largest wins, and of the largest losses."""
ALPHA = 0.05


@dataclass(frozen=True)
class Warned:
    """Something to look at. `kind` names the sentence in texts.py, `values` what it speaks of."""

    kind: str
    values: Mapping[str, str | int]


@dataclass(frozen=True)
class Follows:
    """How a scorer goes with the voters, over prompts. `same`: how often both name the same arm;
    `tau`: Kendall's."""

    scorer: str
    same: Rate | None
    tau: float


@dataclass(frozen=True)
class Comparison:
    """An arm against the base. `primary`: the measure that answers, a scorer's name or "votes".

    `called`: gain, loss or undecided, by the primary; none where nothing was measured. `wins`,
    `losses`: pairs of the largest differences by the primary, largest first.
    """

    base: str
    arm: str
    primary: str
    called: str
    scorers: tuple[ScorerResult, ...]
    votes: VoteResult | None
    follows: tuple[Follows, ...]
    wins: tuple[tuple[str, int], ...]
    losses: tuple[tuple[str, int], ...]
    warnings: tuple[Warned, ...]

    def scorer(self, name: str) -> ScorerResult | None:
        """A scorer's result, or None."""
        return next((result for result in self.scorers if result.scorer == name), None)


@dataclass(frozen=True)
class Analysis:
    """All of a trial. `weights`: by scorer, the hashes of what it was made of. `scores`: those that
    hold."""

    manifest: Manifest
    comparisons: tuple[Comparison, ...]
    pictures: int
    painted: int
    weights: Mapping[str, tuple[str, ...]]
    warnings: tuple[Warned, ...]
    costs: tuple[Cost, ...] = ()
    scores: tuple[Score, ...] = ()


def analyse(
    trial: Trial,
    votes: Iterable[Vote] = (),
    planned: int | None = None,
    primary: str | None = None,
) -> Analysis:
    """Compare every arm with the first one.

    planned: decisive votes a pair, fixed before voting. primary: the measure that answers: a
    scorer's name or "votes"; without it the votes where there are any, else the scorer that came
    first. Scores of pictures that changed since do not count. Raises TrialError for a measure
    that the trial does not have.
    """
    manifest, votes = trial.manifest, list(votes)
    scores, stale = trial.current_scores()
    names = scorers(scores)
    if primary not in (None, VOTES, *names, *(scorers(trial.scores()) if primary else ())):
        raise TrialError(
            f"This trial has no measure {primary[:60]!r}: it has {', '.join([VOTES, *names])}."
        )
    base, *others = (arm.name for arm in manifest.arms)
    comparisons = tuple(
        _compare(
            base,
            arm,
            tuple(compare_scores(scores, manifest.prompts, base, arm)),
            compare_votes(votes, manifest.prompts, base, arm, planned),
            primary,
        )
        for arm in others
    )
    cells = list(trial.cells())
    painted = sum(trial.has(cell) for cell in cells)
    weights = {
        name: tuple(dict.fromkeys(s.weights for s in scores if s.scorer == name)) for name in names
    }
    warnings = _of_trial(len(cells) - painted, stale, weights)
    return Analysis(
        manifest, comparisons, len(cells), painted, weights, warnings, costs(trial), tuple(scores)
    )


def _of_trial(
    missing: int, stale: int, weights: Mapping[str, tuple[str, ...]]
) -> tuple[Warned, ...]:
    found = []
    if missing:
        found.append(Warned("missing", {"count": missing}))
    if stale:
        found.append(Warned("stale", {"count": stale}))
    for name, hashes in weights.items():
        if len(hashes) > 1:
            found.append(Warned("weights", {"scorer": name, "count": len(hashes)}))
    return tuple(found)


def _compare(
    base: str,
    arm: str,
    results: tuple[ScorerResult, ...],
    votes: VoteResult | None,
    primary: str | None,
) -> Comparison:
    if primary is None:
        primary = VOTES if votes else results[0].scorer if results else ""
    by_name = {result.scorer: result for result in results}
    by_pair: Mapping[tuple[str, int], float] = {}
    called = "none"
    if primary == VOTES and votes:
        by_pair, called = votes.by_pair, votes.decision.called
    elif primary in by_name:
        by_pair, called = by_name[primary].by_pair, _called(by_name[primary])
    # Votes are often equal: the first scorer puts those in order.
    second = results[0].by_pair if results else {}
    order = sorted(by_pair, key=lambda key: (-by_pair[key], -second.get(key, 0.0)))
    followed = tuple(
        Follows(r.scorer, *follows(r.by_prompt, votes.by_prompt)) for r in results if votes
    )
    return Comparison(
        base=base,
        arm=arm,
        primary=primary,
        called=called,
        scorers=results,
        votes=votes,
        follows=followed,
        wins=tuple(key for key in order if by_pair[key] > 0)[:SHOWN],
        losses=tuple(key for key in reversed(order) if by_pair[key] < 0)[:SHOWN],
        warnings=tuple(_disagreements(arm, results, votes)),
    )


def _called(result: ScorerResult) -> str:
    """By the test over all prompts, corrected for how many scorers were asked."""
    row = result.overall
    if row.adjusted >= ALPHA:
        return "undecided"
    return "gain" if row.difference.mean > 0 else "loss"


def _disagreements(
    arm: str, results: tuple[ScorerResult, ...], votes: VoteResult | None
) -> Iterable[Warned]:
    """Where a measure rises while a category falls, and where measures point apart."""
    # Not corrected for the number of categories: a warning is to be seen too often than too seldom.
    for result in results:
        for category, row in result.categories.items():
            if result.overall.difference.mean > 0 and row.falls:
                yield Warned("falls", {"arm": arm, "measure": result.scorer, "category": category})
    for category, counted in (votes.categories if votes else {}).items():
        if votes.decision.share > 0.5 and counted.share and counted.share.high < 0.5:
            yield Warned("falls", {"arm": arm, "measure": VOTES, "category": category})
    called = {result.scorer: _called(result) for result in results}
    for risen in (name for name, way in called.items() if way == "gain"):
        for fallen in (name for name, way in called.items() if way == "loss"):
            yield Warned("scorers_apart", {"arm": arm, "scorer": risen, "other": fallen})
    if votes is None:
        return
    for result in results:
        voted = {"gain": 1, "loss": -1}.get(votes.decision.called, 0)
        scored = {"gain": 1, "loss": -1}.get(_called(result), 0)
        if voted * scored < 0:
            yield Warned("apart", {"arm": arm, "scorer": result.scorer})


def pictures_of(comparison: Comparison, pair: tuple[str, int]) -> tuple[Cell, Cell]:
    """The base's and the arm's picture of a (prompt, seed)."""
    prompt, seed = pair
    return Cell(comparison.base, prompt, seed), Cell(comparison.arm, prompt, seed)
