"""Which part of a picture is trained on, and at what size."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import BadInput
from . import images

FINEST = 16
"""Every supported model's sides are multiples of this: 8 for the VAE times 2 for the patches."""


@dataclass(frozen=True)
class Framing:
    """Resize and centre crop to `resolution` squared, or to a bucket of about that area.

    crops: pictures brought to another bucket than their nearest, see `buckets.plan`.
    sampled: their latents are drawn from the VAE's distribution, not its mode.
    Raises BadInput where the resolution is no positive multiple of 16.
    """

    resolution: int
    buckets: bool = False
    crops: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    sampled: bool = False

    def __post_init__(self) -> None:
        if self.resolution < FINEST or self.resolution % FINEST:
            nearest = max(FINEST, round(self.resolution / FINEST) * FINEST)
            raise BadInput(
                f"--resolution {self.resolution} is not a multiple of {FINEST}; use {nearest}."
            )

    def name(self, path: Path | None) -> str:
        """What tells the latents of this framing from others of the same image; None for one that
        is not cropped."""
        width, height = self.crops.get(path, (0, 0))
        cropped = f"-{width}x{height}" if width else ""
        sampled = "-sampled" if self.sampled else ""
        return f"{self.resolution}{'-buckets' if self.buckets else ''}{cropped}{sampled}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) to which a picture of this size is brought."""
        if not self.buckets:
            return self.resolution, self.resolution
        return bucket(width, height, self.resolution, step(self.resolution))

    def read(self, path: Path) -> np.ndarray:
        """A picture file as it is trained on: (H, W, 3) float32, 0 to 1.

        Raises what `images.load` raises.
        """
        with images.opened(path) as image:
            size = self.crops.get(path) or self.size(*images.upright_size(image))
            return resize_and_crop(images.upright(image, size), *size)


def step(resolution: int) -> int:
    """What bucket sides are multiples of: 64, as U-Nets want, below 256 pixels the finest, 16."""
    return 64 if resolution >= 256 else FINEST


@functools.lru_cache(4096)
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


def resize_and_crop(picture: Image.Image, width: int, height: int) -> np.ndarray:
    """The largest centred part of the wanted aspect ratio, resampled (Lanczos).

    `picture`: RGB, or L or F from 0 to 255. Gives (height, width, 3) float32, 0 to 1; a picture
    that already has the size is not resampled.
    """
    scale = min(picture.width / width, picture.height / height)
    # Rounding must not put the box a hair outside the picture, where Pillow refuses it.
    left = max(0.0, (picture.width - width * scale) / 2)
    top = max(0.0, (picture.height - height * scale) / 2)
    right = min(picture.width, left + width * scale)
    box = (left, top, right, min(picture.height, top + height * scale))

    def resampled(band: Image.Image) -> np.ndarray:
        deep = band.convert("F")  # a band at a time: four times the size of its 8 bits
        if deep.size != (width, height):
            deep = deep.resize((width, height), Image.Resampling.LANCZOS, box=box)
        return (np.asarray(deep) / np.float32(255.0)).clip(0.0, 1.0)

    bands = [resampled(band) for band in picture.split()]
    return np.stack(bands * (3 // len(bands)), axis=2)
