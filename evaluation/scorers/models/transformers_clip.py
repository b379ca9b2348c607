"""A whole CLIP by `transformers.CLIPModel`, on ComfyUI's devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import CLIPModel

from ..scorer import ScorerError
from .clip_weights import Texts, read
from .managed import Managed, cosines
from .pixels import Pixels

if TYPE_CHECKING:
    from ..scorer import Picture


class TransformersClip:
    """Cosines of pictures and texts, in float32. rounded: as `pixels.Pixels`."""

    def __init__(self, path: Path, rounded: bool) -> None:
        state, config = read(path)
        model = CLIPModel(config).float()
        missing = model.load_state_dict(state, strict=False, assign=True).missing_keys
        missing = [key for key in missing if not key.endswith("position_ids")]
        if missing:
            raise ScorerError(f"{path} is no whole CLIP: it lacks {missing[0]}.")
        self._managed, self._model = Managed(model), model
        self._pixels = Pixels(config.vision_config.image_size, rounded=rounded)
        self.texts = Texts()

    @property
    def scale(self) -> float:
        """exp(logit scale): what the cosine is multiplied with in training."""
        return float(self._model.logit_scale.exp())

    @torch.inference_mode()
    def cosines(self, pictures: Sequence[Picture], texts: Sequence[str]) -> list[float]:
        """One a picture, with the text at the same place."""
        device, model = self._managed.ready(), self._model
        # Not get_text_features: what it returns depends on the version.
        ids = torch.tensor(self.texts.tokens(texts), device=device)
        read = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        pixels = self._pixels(pictures).to(device)
        seen = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        return cosines(seen, read)
