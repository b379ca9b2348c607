"""The table of architectures: a new one is one file and one row here."""

from __future__ import annotations

import torch

from ...softrepa.errors import AdapterError
from . import anima, lumina, mmdit, unet
from .architecture import Architecture
from .aura_flow import AURA_FLOW
from .flux import CHROMA, FLUX_1, FLUX_2, unserved
from .hunyuan_image import HUNYUAN_IMAGE
from .qwen_image import QWEN_IMAGE
from .wan import WAN

ARCHITECTURES: tuple[Architecture, ...] = (
    mmdit,
    unet,
    FLUX_1,
    FLUX_2,
    CHROMA,
    QWEN_IMAGE,
    lumina,
    anima,
    HUNYUAN_IMAGE,
    WAN,
    AURA_FLOW,
)


def architecture_of(model: torch.nn.Module) -> Architecture:
    """The row that serves a `comfy.model_base.BaseModel`. Raises AdapterError for any other."""
    for architecture in ARCHITECTURES:
        if architecture.matches(model):
            return architecture
    relative = unserved(model.diffusion_model)
    named = (
        f"{relative}, a relative of Flux" if relative else f"this model ({type(model).__name__})"
    )
    raise AdapterError(
        f"SoftREPA cannot act on {named}: use SD1.x, SD2.x, SDXL, "
        "SD3/SD3.5, Flux.1, Flux.2, Chroma, Qwen-Image, Lumina 2, Z-Image, Anima, Cosmos-Predict2, "
        "HunyuanImage 2.1, Wan (text to video) or AuraFlow."
    )
