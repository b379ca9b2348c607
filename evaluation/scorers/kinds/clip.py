"""CLIP Score, by ComfyUI's own CLIP: the cosine of a picture's and a text's embedding.

Three conventions are in use, and their numbers must not be mixed, so each is a scorer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from ..kind import Kind, Weights
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

WEIGHTS = Weights(
    ("clip-vit-large-patch14.safetensors", "clip-vit-large-patch14"),
    "openai/clip-vit-large-patch14",
    "1.7 GB",
    "model.safetensors",
    ("text_encoders", "clip_vision"),
)


class Clip:
    """One convention. path: a whole CLIP, as `clip_weights.read` takes it."""

    batch, needs_expected = 16, False

    def __init__(self, name: str, unit: str, number: Callable[[float], float], path: Path) -> None:
        from ..models.clip_weights import Texts
        from ..models.comfy_clip import ComfyClip

        self.name, self.unit, self._number = name, unit, number
        self._clip, self._texts = ComfyClip.read(path), Texts()
        self.weights_sha256 = sha256(path)

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        from ..models.managed import cosines

        seen = self._clip.embed_pictures(pictures)
        read = self._clip.embed_tokens(self._texts.tokens(texts))
        return [self._number(cosine) for cosine in cosines(seen, read)]

    def notes(self) -> list[str]:
        """How many texts were cut at 77 tokens."""
        return self._texts.notes()


def _kind(name: str, unit: str, number: Callable[[float], float]) -> Kind:
    return Kind(name, unit, lambda path: Clip(name, unit, number, path), WEIGHTS)


KINDS = (
    _kind("clip", "100 · cosine, as SoftREPA's authors report; -100 to 100", lambda cos: 100 * cos),
    _kind("clip_positive", "100 · max(cosine, 0); 0 to 100", lambda cos: 100 * max(cos, 0.0)),
    _kind(
        "clip_2.5",
        "2.5 · max(cosine, 0), as CLIPScore's authors define it; 0 to 2.5",
        lambda cos: 2.5 * max(cos, 0.0),
    ),
)
