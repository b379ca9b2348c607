"""Pictures as scorers take them: (H, W, 3) arrays of bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from .scorer import ScorerError

if TYPE_CHECKING:
    from .scorer import Picture


def decode(png: bytes) -> Picture:
    """A file's pixels; transparency lies on white. Raises ScorerError for a damaged file."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png)) as opened:
            if opened.mode in ("RGBA", "LA", "P"):
                seen = opened.convert("RGBA")
                ground = Image.new("RGBA", seen.size, (255, 255, 255, 255))
                opened = Image.alpha_composite(ground, seen)
            return np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ScorerError(f"A picture cannot be read ({' '.join(str(error).split())}).") from error


def from_images(images: Any) -> list[Picture]:
    """ComfyUI's IMAGE, (B, H, W, C) in 0..1, with the rounding with which it saves pictures.

    So a picture is scored alike in the graph and from its file.
    """
    import numpy as np

    pixels = 255.0 * images[..., :3].detach().float().cpu().numpy()
    return list(np.clip(pixels, 0, 255).astype(np.uint8))
