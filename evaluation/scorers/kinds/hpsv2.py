"""HPSv2 (Wu et al., arXiv 2306.09341): a ViT-H CLIP tuned on people's rankings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from ..kind import Kind, Weights
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = "cosine, as HPSv2's authors report, about 0.2 to 0.35; people's preference"
WEIGHTS = Weights(
    ("HPS_v2.1_compressed.pt", "HPS_v2_compressed.pt"),
    "xswu/HPSv2",
    "2 GB",
    "HPS_v2.1_compressed.pt",
)


class HPSv2:
    """path: the authors' file, v2.0's or v2.1's, or a CLIP in another layout."""

    name, unit, batch, needs_expected = "hpsv2", UNIT, 8, False

    def __init__(self, path: Path) -> None:
        from ..models.transformers_clip import TransformersClip

        self._clip = TransformersClip(path, rounded=True)
        self.weights_sha256 = sha256(path)

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        return self._clip.cosines(pictures, texts)

    def notes(self) -> list[str]:
        """How many texts were cut at 77 tokens."""
        return self._clip.texts.notes()


KIND = Kind("hpsv2", UNIT, HPSv2, WEIGHTS)
