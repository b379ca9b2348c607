"""Pictures with worse ones beside them, as the flat list that the cache keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import BadInput
from .pairs import Pair, Pairs


@dataclass(frozen=True)
class TrainingSet:
    """pairs: those to train on, and behind them the pictures that stand beside one of these. own:
    how many the former are. worse: by index of a pair, the indices of those it is better than;
    None where only captions are compared."""

    pairs: Sequence[Pair]
    own: int
    worse: Mapping[int, Sequence[int]] | None = None

    def weight(self, at: int) -> float:
        """How often the pair is shown against others."""
        return self.pairs.weight(at) if isinstance(self.pairs, Pairs) else self.pairs[at].weight

    def given(self, at: int) -> int:
        """Which --data the pair is of."""
        return self.pairs.given(at) if isinstance(self.pairs, Pairs) else self.pairs[at].given

    @property
    def follows(self) -> Mapping[int, int]:
        """By index of a picture that is worse, that of the better one, whose framing it has."""
        return {worse: better for better, some in (self.worse or {}).items() for worse in some}


def alone(pairs: Sequence[Pair]) -> TrainingSet:
    """For training that compares captions: pictures beside better ones play no part."""
    return TrainingSet(pairs, len(pairs))


def compared(pairs: Sequence[Pair]) -> TrainingSet:
    """For training that compares pictures: those that have a worse one. Raises BadInput where none
    has."""
    better = [pair for pair in pairs if pair.worse]
    if not better:
        raise BadInput(
            "No picture with a caption has a worse one beside it: put NAME.lose.png beside "
            "NAME.png, or name both in preferences.jsonl."
        )
    flat, worse = list(better), {}
    for index, pair in enumerate(better):
        worse[index] = range(len(flat), len(flat) + len(pair.worse))
        flat += [Pair(image, pair.captions, given=pair.given) for image in pair.worse]
    return TrainingSet(flat, len(better), MappingProxyType(worse))
