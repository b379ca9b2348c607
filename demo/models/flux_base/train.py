"""Train the second base as the first: the same pictures, captions and steps, another network.

Run as ``python demo/models/flux_base flux`` with COMFYUI_PATH set.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from ..base import clip, train
from . import network

FLUX = Path(__file__).with_name("flux.safetensors")
SHIFT = 2.0
"""Of the levels that are trained on: more of the high ones, where a picture is laid out."""


class Prompts(train.Prompts):
    """As ComfyUI's CLIP loader gives CLIP-L's text alone: normalised."""

    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Context (B, R, 768) and pooled output (B, 768)."""
        context, pooled = super().encode(texts)
        return F.layer_norm(context, (clip.WIDTH,)), pooled


TRAINED = train.Trained(network.build, network.velocity, Prompts, FLUX, SHIFT)


def main(arguments: list[str] | None = None) -> None:
    """Train both stages and write ``flux.safetensors`` beside this file, half precision."""
    train.main(arguments, TRAINED)
