"""Pictures to the pixels that vision models were trained on. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from ..scorer import Picture

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Pixels:
    """CLIP's way: the shorter side to `size` by Pillow's bicubic, the middle square, normalised.

    rounded: how an odd margin is halved, as torchvision does; else down, as transformers does.
    """

    size: int
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    rounded: bool = False

    def __call__(self, pictures: Sequence[Picture]) -> torch.Tensor:
        """(B, 3, size, size) float32."""
        squares = torch.from_numpy(np.stack([self._square(each) for each in pictures]))
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (self.mean, self.std))
        return (squares.movedim(-1, 1).float() / 255 - mean) / std

    def _square(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        short = min(height, width)
        sides = (int(self.size * width / short), int(self.size * height / short))
        seen = Image.fromarray(np.ascontiguousarray(picture))
        if sides != seen.size:
            seen = seen.resize(sides, Image.Resampling.BICUBIC)
        left, top = (self._margin(side - self.size) for side in sides)
        return np.asarray(seen)[top : top + self.size, left : left + self.size]

    def _margin(self, spare: int) -> int:
        return round(spare / 2) if self.rounded else spare // 2
