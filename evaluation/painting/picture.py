"""One picture: equal noise for equal seeds, ComfyUI's samplers, a PNG as SaveImage writes it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import comfy.sample
import numpy as np
import torch
from comfy.cli_args import args
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..trial import Sampling
from .arms import Arm, Conditioning


def sample(
    arm: Arm,
    vae: Any,
    texts: tuple[Conditioning, Conditioning],
    seed: int,
    settings: Sampling,
    callback: Callable[[int, Tensor, Tensor, int], None],
) -> Tensor:
    """The picture that KSampler and VAEDecode give for an empty latent: (H, W, 3) float in 0...1.

    callback: called after each step with the step, x0, x and the number of steps.
    """
    model = arm.model
    side = vae.spacial_compression_encode()
    empty = torch.zeros([1, 4, settings.height // side, settings.width // side])
    latent = comfy.sample.fix_empty_latent_channels(model, empty)
    samples = comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, seed),
        settings.steps,
        settings.guidance,
        settings.sampler,
        settings.scheduler,
        *texts,
        latent,
        denoise=settings.denoise,
        callback=callback,
        disable_pbar=True,
        seed=seed,
    )
    pictures = vae.decode(samples)
    return pictures.reshape(-1, *pictures.shape[-3:])[0]


def as_image(pixels: Tensor) -> Image.Image:
    """(H, W, 3) in 0...1, rounded as SaveImage does."""
    return Image.fromarray(np.clip(255.0 * pixels.cpu().numpy(), 0, 255).astype(np.uint8))


def encode(image: Image.Image, metadata: Mapping[str, Any]) -> bytes:
    """The PNG file, with metadata as JSON texts.

    Without any where ComfyUI was started with --disable-metadata.
    """
    info = None
    if not args.disable_metadata:
        info = PngInfo()
        for key, value in metadata.items():
            info.add_text(key, json.dumps(value))
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info, compress_level=4)
    return file.getvalue()
