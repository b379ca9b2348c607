"""Where a pilot went another way than its plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..trial import Manifest
from ..votes.vote import Vote
from .looks import Look
from .plan import Plan, fingerprint


@dataclass(frozen=True)
class Deviation:
    """`kind` names the sentence in languages/, after "deviation_"; `values`, what it speaks of."""

    kind: str
    values: Mapping[str, str | int]


@dataclass(frozen=True)
class Measured:
    """What a decision rested on. counted: the pair's votes up to the planned number. later: how
    many decisive ones came after them. complete: all planned ones are there. weights: hashes of
    what the planned scorer worked with. stale: scores whose pictures changed."""

    counted: Sequence[Vote]
    later: int
    complete: bool
    weights: Sequence[str]
    stale: int


def deviations(plan: Plan, manifest: Manifest, seen: Measured, looks: Iterable[Look]):
    """Every deviation, as a list: of the trial, of the votes, of the measure."""
    found = [*_of_trial(plan, manifest), *_of_votes(plan, seen, list(looks))]
    if len(seen.weights) > 1:
        found.append(_deviation("weights", scorer=plan.measure, count=len(seen.weights)))
    if seen.stale and not plan.by_votes:
        found.append(_deviation("stale", count=seen.stale))
    return found


def _deviation(kind: str, **values: str | int) -> Deviation:
    return Deviation(kind, values)


def _of_trial(plan: Plan, manifest: Manifest) -> Iterator[Deviation]:
    if manifest.pilot is None:
        yield _deviation("unfixed")
    elif manifest.pilot != plan.digest:
        yield _deviation("changed", fixed=manifest.pilot[:10], now=plan.digest[:10])
    names = tuple(arm.name for arm in manifest.arms)
    if names != plan.arms:
        yield _deviation("arms", planned=", ".join(plan.arms), there=", ".join(names))
    if plan.adapter and plan.adapter not in _adapters(manifest, plan.candidate):
        there = ", ".join(each[:10] for each in _adapters(manifest, plan.candidate)) or "-"
        yield _deviation("adapter", planned=plan.adapter[:10], there=there)
    if len(manifest.prompts) != plan.count:
        yield _deviation("count", planned=plan.count, there=len(manifest.prompts))
    if plan.prompts_sha256 and fingerprint(manifest.prompts) != plan.prompts_sha256:
        yield _deviation("prompts")
    if manifest.seeds != plan.seeds:
        yield _deviation("seeds", planned=_listed(plan.seeds), there=_listed(manifest.seeds))


def _adapters(manifest: Manifest, name: str) -> list[str]:
    found = (arm for arm in manifest.arms if arm.name == name)
    return [m.sha256 for arm in found for m in arm.models if m.kind == "adapter"]


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, list(values)[:10]))


def _of_votes(plan: Plan, seen: Measured, looks: Sequence[Look]) -> Iterator[Deviation]:
    if plan.by_votes:
        voters = {_folded(v.voter): v.voter for v in seen.counted}
        planned = {_folded(name): name for name in plan.voters}
        away = [name for key, name in planned.items() if key not in voters]
        others = [name for key, name in voters.items() if key not in planned]
        if seen.complete and away:
            yield _deviation("away", names=_listed(away))
        if planned and others:
            yield _deviation("others", names=_listed(others))
        if seen.later:
            yield _deviation("more", planned=plan.planned, count=seen.later)
        yield from _given_after(seen.counted, looks)
    for measure in dict.fromkeys(look.measure for look in looks):
        if measure not in ("", plan.measure):
            yield _deviation("measure", planned=plan.measure, there=measure)


def _given_after(counted: Sequence[Vote], looks: Sequence[Look]) -> Iterator[Deviation]:
    """Votes given when somebody had seen results of some: whoever knows them is not blind."""
    first = min((look.time for look in looks if look.votes), default=None)
    after = [] if first is None else [vote for vote in counted if vote.time > first]
    if after:
        yield _deviation("looked", before=len(counted) - len(after), count=len(after))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
