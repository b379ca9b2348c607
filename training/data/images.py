"""Image files as arrays of RGB, whatever way they store it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = frozenset(
    ".avif .bmp .gif .jfif .jp2 .jpeg .jpg .pgm .png .ppm .tga .tif .tiff .webp".split()
)
"""Suffixes taken for images; one that this Pillow cannot decode is reported as unreadable."""


def load(path: Path) -> np.ndarray:
    """The picture as it is meant to be seen: (H, W, 3) float32, 0 to 1.

    EXIF rotation is applied, transparency is laid over white, and of an animation the first frame
    is taken. 16-bit greyscale keeps its depth. Raises OSError, ValueError, SyntaxError or
    Image.DecompressionBombError where the file cannot be decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged EXIF, large pictures
        with Image.open(path) as image:
            # Transposing drops the EXIF block but keeps the pixels' mode.
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":
                return _deep(upright)
            return np.asarray(_flattened(upright), dtype=np.float32) / 255.0


def fault(path: Path) -> str | None:
    """Why the file cannot be decoded, or None. Cheaper than `load` for JPEGs, and as thorough."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # Scaled decoding still reads the whole stream, so it finds a truncated one.
                image.draft("RGB", (64, 64))
                image.load()
    except Exception as error:  # decoders raise whatever they come upon
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _flattened(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("RGB")


def _deep(image: Image.Image) -> np.ndarray:
    """Greyscale of 16 bits or more. Integers span 16 bits, floats are taken to be 0 to 1."""
    values = np.asarray(image, dtype=np.float32)
    if image.mode.startswith("I"):
        values = values / 65535.0
    grey = np.clip(np.nan_to_num(values), 0.0, 1.0)
    return np.repeat(grey[:, :, None], 3, axis=2)
