"""What turns pictures and captions into what the denoiser is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Text:
    """An embedded caption: `context` (n, D) float32, `pooled` (P,) float32 or None, `more` of what
    ComfyUI's conditioning holds (masks, numbers of words), by name."""

    context: Tensor
    pooled: Tensor | None = None
    more: Mapping[str, Tensor] = field(default_factory=dict)


class Encoder(Protocol):
    """The text encoders and the VAE of one checkpoint.

    `identity` is a hash of the checkpoint, `name` what to call it in a message.
    """

    identity: str
    name: str

    def latents(self, images: Tensor) -> Tensor:
        """(B, H, W, 3), 0 to 1, to (B, C, ..., h, w) as the denoiser sees them."""

    def texts(self, captions: Sequence[str]) -> list[Text]:
        """Each caption embedded as a CLIPTextEncode node does it."""

    def release(self) -> None:
        """Lets go of the weights; the next use would load them again."""
