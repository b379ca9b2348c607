"""The small picture that an adapter file carries for model browsers. Needs Pillow."""

from __future__ import annotations

import io

from PIL import Image

SIDE = 256
"""Pixels of the longer side, as the Stability model spec recommends."""
MOST_BYTES = 20_000
"""A header holds it twice in base64; ComfyUI shows no metadata from headers above 1 MiB."""
_QUALITIES = (90, 80, 65, 50, 35, 20, 10)


def jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG of at most SIDE pixels and MOST_BYTES; a smaller one is not enlarged.

    Only the pixels: no camera data, place or comment of the original goes along. What is
    transparent becomes white.
    """
    pixels = picture.convert("RGBA")
    pixels.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    # A new picture, because Pillow writes the comment of the file that one was opened from.
    plain = Image.new("RGB", pixels.size, "white")
    plain.paste(pixels, mask=pixels.getchannel("A"))
    encoded = b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        plain.save(buffer, format="JPEG", quality=quality, optimize=True)
        encoded = buffer.getvalue()
        if len(encoded) <= MOST_BYTES:
            break
    return encoded
