"""What a pilot's plan says of its trial: go, no-go or not yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import TrialError
from ..report.analysis.scores import ScorerResult, compare_scores
from ..report.analysis.votes import VoteResult, compare_votes
from ..statistics.verdict import FEW, NOT_YET, Verdict, by_scores, by_votes
from ..trial import Score, Trial
from ..votes.vote import Vote
from .checklist import unticked
from .deviations import Deviation, Measured, deviations
from .looks import looks
from .plan import Plan


@dataclass(frozen=True)
class Decided:
    """The answer and what it rests on: `votes` or `scores`, None where there are none yet.

    pairs, all_pairs: how many picture pairs the planned scorer has scored, of how many. unticked:
    what is open on the checklist, None where there is none.
    """

    plan: Plan
    verdict: Verdict
    votes: VoteResult | None
    scores: ScorerResult | None
    pairs: int
    all_pairs: int
    deviations: tuple[Deviation, ...]
    unticked: tuple[str, ...] | None


def decided(trial: Trial, plan: Plan, votes: Iterable[Vote]) -> Decided:
    """Decide by the plan alone, from the votes in the order given or the current scores.

    Votes after the planned number of decisive ones count for nothing, so that nobody can vote on
    until they like the answer. Raises TrialError where the trial lacks an arm of the plan.
    """
    manifest = trial.manifest
    names = [arm.name for arm in manifest.arms]
    for name in (plan.base, plan.candidate):
        if name not in names:
            raise TrialError(
                f"The plan decides on the arm {name!a}, and this trial has {names!a}: "
                "paint the plan's arms."
            )
    pair = plan.base, plan.candidate
    known = {prompt.id for prompt in manifest.prompts}
    counted, later = counted_votes([v for v in votes if v.prompt in known], *pair, plan.planned)
    scores, stale = ([], 0) if plan.by_votes else trial.current_scores()
    mine = [score for score in scores if score.scorer == plan.measure]
    voted = compare_votes(counted, manifest.prompts, *pair, plan.planned) if plan.by_votes else None
    scored = next(iter(compare_scores(mine, manifest.prompts, *pair)), None)
    all_pairs = len(manifest.prompts) * len(manifest.seeds)
    pairs = len(scored.by_pair) if scored else 0
    complete = voted is not None and voted.decision.decisive >= plan.planned
    seen = Measured(counted, later, complete, _weights(mine), stale)
    open_items = unticked(trial.folder)
    return Decided(
        plan=plan,
        verdict=_verdict(plan, voted, scored, pairs == all_pairs),
        votes=voted,
        scores=scored,
        pairs=pairs,
        all_pairs=all_pairs,
        deviations=tuple(deviations(plan, manifest, seen, looks(trial))),
        unticked=None if open_items is None else tuple(open_items),
    )


def counted_votes(
    votes: Sequence[Vote], base: str, candidate: str, planned: int
) -> tuple[list[Vote], int]:
    """The votes on the two arms up to the planned decisive one, repeats among them, and how many
    decisive ones came later."""
    counted, decisive, later = [], 0, 0
    for vote in votes:
        if {vote.left_arm, vote.right_arm} != {base, candidate}:
            continue
        decides = vote.answer in ("left", "right") and not vote.repeat
        if decisive < planned:
            counted.append(vote)
            decisive += decides
        else:
            later += decides
    return counted, later


def _weights(scores: Iterable[Score]) -> list[str]:
    return list(dict.fromkeys(score.weights for score in scores))


def _verdict(
    plan: Plan, votes: VoteResult | None, scores: ScorerResult | None, all_there: bool
) -> Verdict:
    if votes:
        return by_votes(votes.decision, plan.go, plan.no_go)
    if scores:
        found = scores.overall.difference
        enough = all_there and found.prompts >= plan.planned
        return by_scores(found, enough, plan.go, plan.no_go)
    return Verdict(NOT_YET, FEW)
