"""The table of architectures: a new one is one file and one row here."""

from __future__ import annotations

import torch

from ...softrepa.errors import AdapterError
from . import mmdit, unet
from .architecture import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (mmdit, unet)


def architecture_of(model: torch.nn.Module) -> Architecture:
    """The row that serves a `comfy.model_base.BaseModel`. Raises AdapterError for any other."""
    for architecture in ARCHITECTURES:
        if architecture.matches(model):
            return architecture
    raise AdapterError(
        f"SoftREPA cannot act on this model ({type(model).__name__}): use SD1.x, SD2.x, SDXL or "
        "SD3/SD3.5."
    )
