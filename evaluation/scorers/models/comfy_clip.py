"""A whole CLIP of ComfyUI's own parts. Needs ComfyUI and torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.clip_model
import comfy.ops
import torch
from comfy.sd1_clip import SDClipModel
from torch import nn

from ..scorer import ScorerError
from .clip_weights import read
from .managed import Managed
from .pixels import Pixels

if TYPE_CHECKING:
    from ..scorer import Picture


class ComfyClip(nn.Module):
    """Embeddings in one space, float32; equal to those of `transformers.CLIPModel`."""

    def __init__(self, text: dict[str, Any], vision: dict[str, Any]) -> None:
        """The two configurations, as in a CLIP's config.json."""
        super().__init__()
        # Projected, which ComfyUI's loader of text encoders leaves out.
        self.text = SDClipModel(
            dtype=torch.float32, textmodel_json_config=text, return_projected_pooled=True
        )
        self.vision = comfy.clip_model.CLIPVisionModelProjection(
            vision, torch.float32, "cpu", comfy.ops.manual_cast
        )
        self._pixels = Pixels(vision["image_size"])
        self.__dict__["_managed"] = Managed(self)

    @classmethod
    def read(cls, path: Path) -> ComfyClip:
        """Raises ScorerError, also where ComfyUI would leave a weight uninitialised."""
        state, config = read(path)
        text, vision = config.text_config.to_dict(), config.vision_config.to_dict()
        vision["projection_dim"] = config.projection_dim
        if config.projection_dim != text["hidden_size"]:
            raise ScorerError(
                f"{path}: ComfyUI's CLIP projects texts to their own width, "
                f"{text['hidden_size']}, and this one is made for {config.projection_dim}."
            )
        made = cls(text, vision)
        for module in (made.text.transformer, made.vision):
            missing = module.load_state_dict(state, strict=False).missing_keys
            if missing:
                raise ScorerError(f"{path} is no whole CLIP: it lacks {missing[0]}.")
        return made

    @torch.inference_mode()
    def embed_tokens(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """(B, D) of B rows of 77 ids, on ComfyUI's device."""
        self._managed.ready()
        return self.text([list(row) for row in tokens])[1].float()

    def embed_pictures(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """(B, D), on ComfyUI's device."""
        return self.embed_pixels(self._pixels(pictures))

    @torch.inference_mode()
    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, D) of normalised pixels (B, 3, H, W)."""
        device = self._managed.ready()
        return self.vision(pixels.to(device))[2].float()
