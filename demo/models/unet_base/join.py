"""Joins the kept weights and the generated CLIP-L into one checkpoint that ComfyUI loads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..base import clip
from ..base import join as sd3
from ..base import vae as taesd
from . import vae, widen

HERE = Path(__file__).parent
UNET = HERE / "unet.safetensors"
VAE = HERE / "vae.safetensors"
SCALE = 0.18215
"""ComfyUI's scaling of SD1.x latents. Given to the VAE as its own, it cancels out, and the
network sees the encoder's latents as they are."""


def make_checkpoint(path: Path, unet: Path = UNET, autoencoder: Path = VAE) -> Path:
    """Write the SD1.x checkpoint (about 320 MB) to `path`, or keep one already made there.

    The file appears whole or not at all. Raises FileNotFoundError where weights are missing,
    OSError where `path` cannot be written.
    """
    mark = sd3.fingerprint(unet, autoencoder, sd3.VAE)
    return sd3.write(path, mark, lambda: state(unet, autoencoder))


def state(unet: Path = UNET, autoencoder: Path = VAE) -> dict[str, Tensor]:
    """All weights under the names of a single-file SD1.x checkpoint, half precision."""
    native = widen.widened(load_file(unet))
    result = {f"model.diffusion_model.{key}": value for key, value in native.items()}
    whole = vae.model(autoencoder).state_dict()
    wide = taesd.widened({key: value.half() for key, value in whole.items()})
    wide |= {"vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(0.0)}
    result |= {f"first_stage_model.{key}": value for key, value in wide.items()}
    return result | clip.state("cond_stage_model.transformer.")
