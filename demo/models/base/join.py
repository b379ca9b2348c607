"""Joins the kept weights and the generated CLIP-L into one checkpoint that ComfyUI loads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import clip, vae

HERE = Path(__file__).parent
MMDIT = HERE / "mmdit.safetensors"
VAE = HERE / "vae.safetensors"
SCALE, OFFSET = 1.5305, 0.0609
"""ComfyUI's scaling of SD3 latents. Given to the VAE as its own, it cancels out, and the
network sees the encoder's latents as they are."""
_FORMAT = "1"
_KEY = "softrepa.demo_base"


def make_checkpoint(path: Path, mmdit: Path = MMDIT, autoencoder: Path = VAE) -> Path:
    """Write the SD3 checkpoint (about 260 MB) to `path`, or keep one already made there.

    The file appears whole or not at all. Raises FileNotFoundError where weights are missing,
    OSError where `path` cannot be written.
    """
    return write(path, fingerprint(mmdit, autoencoder), lambda: state(mmdit, autoencoder))


def write(path: Path, mark: str, made: Callable[[], dict[str, Tensor]]) -> Path:
    """Write what `made` gives, or keep a checkpoint of this mark. Raises OSError."""
    if _mark_of(path) == mark:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by process, so that two set-ups at once do not write into one file.
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(made(), partial, metadata={_KEY: mark})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def state(mmdit: Path = MMDIT, autoencoder: Path = VAE) -> dict[str, Tensor]:
    """All weights under the names of a single-file SD3 checkpoint, half precision."""
    result = {f"model.diffusion_model.{key}": value for key, value in load_file(mmdit).items()}
    wide = vae.widened(load_file(autoencoder))
    wide |= {"vae_scale": torch.tensor(SCALE), "vae_shift": torch.tensor(OFFSET)}
    result |= {f"first_stage_model.{key}": value for key, value in wide.items()}
    return result | clip.state("text_encoders.clip_l.transformer.")


def fingerprint(*files: Path) -> str:
    """What a checkpoint made of these files and today's CLIP-L is marked with."""
    digest = hashlib.sha256(f"{_FORMAT} {clip.SEED} {clip.PLACES} {clip.PLACE_SCALE}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _mark_of(path: Path) -> str | None:
    """The mark of a checkpoint made here; None for any other file, or none."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(_KEY)
    except (OSError, SafetensorError):
        return None
