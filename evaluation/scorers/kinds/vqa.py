"""A vision-language model is asked: VQAScore (Lin et al., arXiv 2404.01291) and the likelihood.

P("yes") ties where a model is sure; the prompt's likelihood given the picture does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...trial import Prompt
from ..kind import Kind, Weights
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

SHOWN = 'Does this figure show "{}"? Please answer yes or no.'
DESCRIBE = "Describe this picture in one sentence."
WEIGHTS = Weights(
    ("Qwen3-VL-4B-Instruct", "Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-3B-Instruct"),
    "Qwen/Qwen3-VL-4B-Instruct",
    "8.9 GB",
    besides="Any other vision-language model that transformers loads will do: name its folder.",
)
Read = Callable[[Any, Sequence[Any], Sequence[str]], list[float]]


class AskedModel:
    """path: the model's folder. read: asks the model (a `VisionLanguage`) for the numbers."""

    batch, needs_expected = 2, False

    def __init__(self, name: str, unit: str, read: Read, path: Path) -> None:
        from ..models.vision_language import VisionLanguage

        self.name, self.unit, self._read = name, unit, read
        self._model = VisionLanguage(path)
        self.weights_sha256 = sha256(path)

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        return self._read(self._model, pictures, texts)

    def notes(self) -> list[str]:
        """None: these models read long texts whole."""
        return []


def _yes(model: Any, pictures: Sequence[Any], texts: Sequence[str]) -> list[float]:
    chances = model.first_token(pictures, [SHOWN.format(text) for text in texts])
    return chances[:, model.words("yes")].sum(dim=-1).tolist()


def _likelihood(model: Any, pictures: Sequence[Any], texts: Sequence[str]) -> list[float]:
    return model.likelihood(pictures, [DESCRIBE] * len(texts), texts)


def _kind(name: str, unit: str, read: Read) -> Kind:
    return Kind(name, unit, lambda path: AskedModel(name, unit, read, path), WEIGHTS)


KINDS = (
    _kind("vqa", 'the model\'s P("yes") that the picture shows the text; 0 to 1', _yes),
    _kind(
        "vqa_likelihood",
        "mean log-likelihood of the text's tokens given the picture, in nats; at most 0",
        _likelihood,
    ),
)
