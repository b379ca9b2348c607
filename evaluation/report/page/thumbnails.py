"""Pictures made small enough to lie inside the page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from ...errors import TrialError
from ...trial import Cell, Trial

SIDE = 256
"""Pixels of the longer side."""
LARGEST = 64_000_000
"""Pixels of a picture that is opened at all."""


def data_url(trial: Trial, cell: Cell) -> str | None:
    """The picture as a JPEG in a data: URL, with no metadata; None where it cannot be shown."""
    try:
        with Image.open(io.BytesIO(trial.read(cell)), formats=["PNG"]) as picture:
            if picture.width * picture.height > LARGEST:
                return None
            small = picture.convert("RGB")
    except (TrialError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
