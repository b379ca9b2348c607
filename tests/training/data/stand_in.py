"""An encoder of plain arithmetic in place of a checkpoint's, and a folder of small pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from comfyui_softrepa.training.cache import Text
from PIL import Image
from torch import Tensor


class StandIn:
    """Embeds by hash; counts what it is asked for."""

    def __init__(self, identity: str = "a" * 64, width: int = 96) -> None:
        self.identity, self.name, self.width = identity, f"{identity[:4]}.safetensors", width
        self.images = self.captions = 0
        self.released = False

    def latents(self, images: Tensor) -> Tensor:
        self.images += len(images)
        channels = images.movedim(-1, 1)
        return torch.nn.functional.avg_pool2d(channels, 8) * 4 - 2

    def texts(self, captions: Sequence[str]) -> list[Text]:
        self.captions += len(captions)
        return [self._text(caption) for caption in captions]

    def release(self) -> None:
        self.released = True

    def _text(self, caption: str) -> Text:
        seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:6], "big")
        generator = torch.Generator().manual_seed(seed)
        context = torch.zeros(6, self.width)
        context[:4, :64] = torch.randn(4, 64, generator=generator)
        return Text(context, torch.randn(8, generator=generator))


def picture(path: Path, number: int, size: tuple[int, int] = (32, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number * 37 % 256, number * 11 % 256, 90)).save(path)
    return path


def folder(root: Path, count: int) -> Path:
    """`count` pictures with a caption each."""
    for number in range(count):
        path = picture(root / f"{number:03}.png", number)
        path.with_suffix(".txt").write_text(f"picture number {number}")
    return root
