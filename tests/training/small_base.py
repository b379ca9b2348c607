"""One of `small_models` as the trainer's base, its text encoder and VAE plain arithmetic."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from comfyui_softrepa.tests.small_models import SmallModel
from comfyui_softrepa.training.cache import Text
from comfyui_softrepa.training.data.known import Known
from comfyui_softrepa.training.model.comfy_model import Encoder
from torch import Tensor

WORDS = 5


@dataclass(frozen=True)
class Files:
    """In place of a model's files."""

    model: Path
    identity: str

    def described(self) -> dict[str, str]:
        return {"base_model": self.model.name, "base_model_sha256": self.identity}


@dataclass(frozen=True)
class Parts:
    """Text encoder and VAE of plain arithmetic: a caption's hash, a picture's colours."""

    small: SmallModel

    def embed(self, captions: Sequence[str]) -> list[Text]:
        return [self._text(caption) for caption in captions]

    def _text(self, caption: str) -> Text:
        seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:6], "big")
        generator = torch.Generator().manual_seed(seed)
        context = torch.randn(WORDS, self.small.kind.context, generator=generator)
        if self.small.architecture == "anima":
            context = torch.nn.functional.pad(context, (0, 0, 0, 9))
        pooled = torch.randn(24, generator=generator) if self.small.name == "flux" else None
        return Text(context, pooled)

    def encode(self, images: Tensor) -> Tensor:
        """images: (1, H, W, 3). Returns (1, C, h, w), or with a frame before the height."""
        channels, *frames = self.small.kind.latent
        small = torch.nn.functional.avg_pool2d(images.movedim(-1, 1), 4)
        found = small.repeat(1, -(-channels // 3), 1, 1)[:, :channels]
        return found.unsqueeze(2) if frames else found


class PlainEncoder(Encoder):
    def _load(self) -> tuple[Any, Any]:
        return self.parts, self.parts


@dataclass(frozen=True)
class Base:
    """A `training.model.base_model.Base` of a small model."""

    small: SmallModel
    notes: tuple[str, ...] = ()
    files: Files = field(default_factory=lambda: Files(Path("small.safetensors"), "5" * 64))

    @property
    def outline(self) -> Any:
        return self.small.patcher.model

    def load(self) -> Any:
        return self.small.patcher

    def encoder(self, patcher: Any, known: Known, sampled: bool) -> Encoder:
        made = PlainEncoder(self.files, patcher, sampled)
        made.parts = Parts(self.small)
        return made
