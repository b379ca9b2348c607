"""What a scorer is: pictures and texts to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..errors import EvaluationError
from ..trial import Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    """(H, W, 3), RGB."""


class ScorerError(EvaluationError):
    """A scorer cannot be loaded, or cannot score what it was given."""


class Scorer(Protocol):
    """Says how well pictures show texts; higher is better.

    A loaded scorer may be kept for as long as one likes: its weights are ComfyUI's to move.
    """

    name: str
    """As it stands in the table and in records."""
    weights_sha256: str
    """Of all that the numbers depend on: a file, a folder of files, or a rule's source."""
    unit: str
    """What the number is, in words: convention and range."""
    batch: int
    """How many pictures one call should be given."""
    needs_expected: bool
    """Whether it scores prompts with expected objects only, and is not to be given others."""

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """One finite number a picture, which is held against the text at the same place.

        prompts: the same texts with their expected objects; only scorers that check objects need
        them. Equal whatever else is in the batch, up to rounding. Raises ScorerError.
        """
        ...

    def notes(self) -> list[str]:
        """Sentences on what was scored since loading, such as how many texts were cut."""
        ...
