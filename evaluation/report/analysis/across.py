"""Arms of two trials held against each other, picture by picture, where they can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...statistics.multiple import holm
from ...trial import Manifest, Score
from .scores import Row, ScorerResult, compare_values, scorers

Values = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Side:
    """A trial with the scores that hold."""

    manifest: Manifest
    scores: Sequence[Score]

    def weights(self, scorer: str) -> set[str]:
        """The hashes of what a scorer of that name is made of."""
        return {score.weights for score in self.scores if score.scorer == scorer}

    def values(self, scorer: str, arm: str) -> dict[tuple[str, int], float]:
        """An arm's scores by (prompt's text, seed): ids need not be the same in two trials."""
        texts = {prompt.id: prompt.text for prompt in self.manifest.prompts}
        return {
            (texts[s.prompt], s.seed): s.value
            for s in self.scores
            if s.scorer == scorer and s.arm == arm
        }


@dataclass(frozen=True)
class Across:
    """An arm of the later trial against one of the earlier, by one scorer."""

    earlier: str
    later: str
    result: ScorerResult

    @property
    def row(self) -> Row:
        """The numbers; `adjusted` by Holm over all pairs of arms and scorers."""
        return self.result.overall


def compare_across(earlier: Side, later: Side) -> list[Across]:
    """Every arm beyond the base against every such arm of the earlier trial, and base against base,
    which shows whether anything but the arms changed. Nothing where `unpaired` says why."""
    if _not_at_all(earlier.manifest, later.manifest):
        return []
    found = list(_compared(earlier, later))
    names = {str(at): each.row.difference.p for at, each in enumerate(found)}
    adjusted = holm(names)
    return [
        replace(each, result=replace(each.result, overall=replace(each.row, adjusted=adjusted[at])))
        for at, each in zip(names, found, strict=True)
    ]


def _compared(earlier: Side, later: Side) -> Iterator[Across]:
    (base, *others), (own_base, *own) = (
        [arm.name for arm in side.manifest.arms] for side in (earlier, later)
    )
    pairs = [(base, own_base), *((one, other) for one in others for other in own)]
    for scorer in _shared_scorers(earlier, later):
        for one, other in pairs:
            result = compare_values(
                scorer, earlier.values(scorer, one), later.values(scorer, other), {}
            )
            if result:
                yield Across(one, other, result)


def _shared_scorers(earlier: Side, later: Side) -> list[str]:
    return [
        name
        for name in scorers(earlier.scores)
        if len(earlier.weights(name)) == 1 and earlier.weights(name) == later.weights(name)
    ]


def unpaired(earlier: Side, later: Side) -> list[str]:
    """Why pictures of the two cannot be held against each other, or not all of them; in words."""
    one, other = earlier.manifest, later.manifest
    names = f"{one.name} and {other.name}"
    reason = _not_at_all(one, other)
    if reason:
        return [f"{names} cannot be paired: {reason}."]
    told = []
    shared = len(_keys(one) & _keys(other))
    most = max(len(_keys(one)), len(_keys(other)))
    if shared < most:
        told.append(f"{names} share {shared} of {most} prompts and seeds: only these are paired.")
    kept = _shared_scorers(earlier, later)
    for name in dict.fromkeys([*scorers(earlier.scores), *scorers(later.scores)]):
        if name not in kept:
            told.append(f"{names} cannot be paired by {name}: it has not scored both with one and "
                        "the same file.")  # fmt: skip
    if one.host != other.host:
        told.append(f"{names} were painted by other host versions: the first arms, held against "
                    "each other, show what that alone does.")  # fmt: skip
    return told


def _not_at_all(one: Manifest, other: Manifest) -> str:
    if one.sampling != other.sampling:
        return "they were sampled with other settings"
    if not _keys(one) & _keys(other):
        return "they have no prompt and seed in common"
    return ""


def _keys(manifest: Manifest) -> set[tuple[str, int]]:
    return {(prompt.text, seed) for prompt in manifest.prompts for seed in manifest.seeds}
