"""Which part of a picture is trained on, and at what size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import BadInput

FINEST = 16
"""Every supported model's sides are multiples of this: 8 for the VAE times 2 for the patches."""


@dataclass(frozen=True)
class Framing:
    """Resize and centre crop to `resolution` squared, or to a bucket of about that area.

    Raises BadInput where the resolution is no positive multiple of 16.
    """

    resolution: int
    buckets: bool = False

    def __post_init__(self) -> None:
        if self.resolution < FINEST or self.resolution % FINEST:
            nearest = max(FINEST, round(self.resolution / FINEST) * FINEST)
            raise BadInput(
                f"--resolution {self.resolution} is not a multiple of {FINEST}; use {nearest}."
            )

    @property
    def name(self) -> str:
        """What tells the latents of this framing from others of the same image."""
        return f"{self.resolution}{'-buckets' if self.buckets else ''}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) to which a picture of this size is brought."""
        if not self.buckets:
            return self.resolution, self.resolution
        return bucket(width, height, self.resolution, step(self.resolution))

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """The picture, (H, W, 3) float32 0 to 1, at the size that `size` gives, same layout."""
        height, width = picture.shape[:2]
        return resize_and_crop(picture, *self.size(width, height))


def step(resolution: int) -> int:
    """What bucket sides are multiples of: 64, as U-Nets want, below 256 pixels the finest, 16."""
    return 64 if resolution >= 256 else FINEST


def bucket(width: int, height: int, resolution: int, multiple: int) -> tuple[int, int]:
    """(width, height) of the bucket nearest in aspect ratio to a picture of this size.

    Both are multiples of `multiple`, between a half and twice `resolution`, and their area is at
    most resolution²; of equally near ones the largest is taken.
    """
    aspect = math.log(width / height)
    area = resolution * resolution
    shortest = max(multiple, resolution // 2 // multiple * multiple)
    sides = range(shortest, max(2 * resolution, shortest) + 1, multiple)
    fitting = [
        (side, min(area // side, 2 * resolution) // multiple * multiple)
        for side in sides
        if area // side >= multiple
    ]
    fitting += [(short, long) for long, short in fitting]
    return min(
        fitting, key=lambda size: (abs(math.log(size[0] / size[1]) - aspect), -size[0] * size[1])
    )


def resize_and_crop(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest centred part of the wanted aspect ratio, resampled (Lanczos), 0 to 1.

    A picture that already has the size comes back as it is.
    """
    rows, columns = picture.shape[:2]
    if (columns, rows) == (width, height):
        return picture
    scale = min(columns / width, rows / height)
    left = (columns - width * scale) / 2
    top = (rows - height * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    channels = [
        Image.fromarray(np.ascontiguousarray(picture[:, :, index])).resize(
            (width, height), Image.Resampling.LANCZOS, box=box
        )
        for index in range(picture.shape[2])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2).clip(0.0, 1.0)
