"""SigLIP 2 (Tschannen et al., arXiv 2502.14786): whether text and picture belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from ..kind import Kind, Weights
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = "sigmoid of the pair's logit: the chance that text and picture belong together; 0 to 1"
LENGTH = 64
WEIGHTS = Weights(("siglip2-so400m-patch14-384",), "google/siglip2-so400m-patch14-384", "4.5 GB")


class SigLIP2:
    """path: the folder. Of fixed resolution, SigLIP 1 included; not the NaFlex ones."""

    name, unit, batch, needs_expected = "siglip2", UNIT, 8, False

    def __init__(self, path: Path) -> None:
        import torch

        from ..models import pretrained
        from ..models.managed import Managed

        self._model, self._processor = pretrained.read("AutoModel", path, torch.float32)
        self._managed = Managed(self._model)
        self._cut: set[str] = set()
        self.weights_sha256 = sha256(path)

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        import torch
        from PIL import Image

        # As in training: lower case, and always the full length, for padding is read too.
        lower = [text.lower() for text in texts]
        tokenizer = self._processor.tokenizer
        lengths = map(len, tokenizer(lower)["input_ids"])
        self._cut |= {text for text, length in zip(texts, lengths, strict=True) if length > LENGTH}
        read = tokenizer(
            lower, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        images = [Image.fromarray(picture) for picture in pictures]
        seen = self._processor.image_processor(images=images, return_tensors="pt")
        with torch.inference_mode():
            device = self._managed.ready()
            found = self._model(
                input_ids=read["input_ids"].to(device), pixel_values=seen["pixel_values"].to(device)
            )
            # Not every picture with every text: the row's own.
            return torch.sigmoid(found.logits_per_image.diagonal().float()).tolist()

    def notes(self) -> list[str]:
        """How many texts were cut at 64 tokens."""
        return [f"{len(self._cut)} texts were cut: only {LENGTH} tokens count."] * bool(self._cut)


KIND = Kind("siglip2", UNIT, SigLIP2, WEIGHTS)
