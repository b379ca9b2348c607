"""Objects, number, colour, position and attribution, checked by an open-vocabulary detector.

Not GenEval's score, which is made by another detector and cannot be compared with this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from .. import objects
from ..kind import Kind, Weights
from ..scorer import ScorerError
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = (
    "1 where a detector finds the objects, number, colours and places that the prompt expects, "
    "else 0; not GenEval's score"
)
WEIGHTS = Weights(
    ("owlv2-large-patch14-ensemble", "owlv2-base-patch16-ensemble", "grounding-dino-base",
     "grounding-dino-tiny"),
    "google/owlv2-large-patch14-ensemble",
    "1.8 GB",
    besides="IDEA-Research/grounding-dino-base (0.9 GB) will do, too.",
)  # fmt: skip


class ObjectCheck:
    """path: the detector's folder."""

    name, unit, batch, needs_expected = "detector", UNIT, 4, True

    def __init__(self, path: Path) -> None:
        from ..models.detection import Detector

        self._detector = Detector(path)
        self.weights_sha256 = sha256(path)
        self._checked, self._wrong = 0, Counter()

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`; 0 or 1. Raises ScorerError for prompts without expected objects."""
        if not prompts or not all(prompt.expected for prompt in prompts):
            raise ScorerError(
                "The detector checks prompts that carry their expected objects, as GenEval's and "
                "our own suite do: a plain text tells it nothing. Score with clip instead."
            )
        asked = [objects.queries(prompt.expected, prompt.excluded) for prompt in prompts]
        found = self._detector.find(pictures, asked)
        wrong = [
            objects.failures(seen, prompt.expected, prompt.excluded)
            for seen, prompt in zip(found, prompts, strict=True)
        ]
        self._checked += len(wrong)
        self._wrong.update(each for one in wrong for each in one)
        return [0.0 if one else 1.0 for one in wrong]

    def notes(self) -> list[str]:
        """What was wrong how often."""
        if not self._wrong:
            return []
        counts = ", ".join(f"{what} {count}" for what, count in self._wrong.most_common())
        return [f"Of {self._checked} pictures wrong by the detector: {counts}."]


KIND = Kind("detector", UNIT, ObjectCheck, WEIGHTS)
