"""PickScore (Kirstain et al., arXiv 2305.01569): a ViT-H CLIP tuned on people's choices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from ..kind import Kind, Weights
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = "exp(logit scale) · cosine, about 15 to 27; people's preference"
WEIGHTS = Weights(
    ("PickScore_v1.safetensors", "PickScore_v1"),
    "yuvalkirstain/PickScore_v1",
    "3.9 GB",
    "model.safetensors",
)


class PickScore:
    """path: model.safetensors under any name, or the folder it came in."""

    name, unit, batch, needs_expected = "pickscore", UNIT, 8, False

    def __init__(self, path: Path) -> None:
        from ..models.transformers_clip import TransformersClip

        self._clip = TransformersClip(path, rounded=False)
        self.weights_sha256 = sha256(path)

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        return [self._clip.scale * cosine for cosine in self._clip.cosines(pictures, texts)]

    def notes(self) -> list[str]:
        """How many texts were cut at 77 tokens."""
        return self._clip.texts.notes()


KIND = Kind("pickscore", UNIT, PickScore, WEIGHTS)
