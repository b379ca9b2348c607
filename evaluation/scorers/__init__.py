"""Scorers: how well a picture shows a text. A file in `kinds` and a row here for each."""

from __future__ import annotations

from .kind import Kind, Weights
from .kinds import clip, detector, hpsv2, imagereward, judge, pickscore, siglip2, vqa
from .scorer import Scorer, ScorerError
from .weights import find

SCORERS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *clip.KINDS,
        pickscore.KIND,
        hpsv2.KIND,
        imagereward.KIND,
        siglip2.KIND,
        *vqa.KINDS,
        detector.KIND,
        judge.KIND,
    )
}


def load(name: str, file: str | None = None) -> Scorer:
    """The scorer of that name. file: its weights by name or path, else those usual for it.

    Raises ScorerError where there is no such scorer, or its weights are not there or not its own.
    """
    kind = SCORERS.get(name)
    if kind is None:
        raise ScorerError(f"There is no scorer {name!r}: choose one of {', '.join(SCORERS)}.")
    return kind.load(find(kind, file) if kind.weights else None)


__all__ = ["SCORERS", "Kind", "Scorer", "ScorerError", "Weights", "load"]
