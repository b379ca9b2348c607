"""Paint prompts with a checkpoint inside this process, and have the judge rate the pictures.

Every picture is what ComfyUI's KSampler paints for the same prompt and seed alone: the noise
is drawn per seed, and batches only share the computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.statistics.rates import Rate, rate
from ..host.pack import import_comfyui
from ..training.cache.progress import progress
from . import world
from .judge import ATTRIBUTES, Verdict, judge

LATENT = (1, 16, world.SIZE // 8, world.SIZE // 8)


@dataclass(frozen=True)
class Sampling:
    """How pictures are painted; the names are ComfyUI's."""

    guidance: float = 4.0
    steps: int = 20
    sampler: str = "euler"
    scheduler: str = "simple"
    batch: int = 50


@dataclass(frozen=True)
class Base:
    """A loaded checkpoint: ComfyUI's ModelPatcher, CLIP and VAE."""

    model: Any
    clip: Any
    vae: Any


def load(checkpoint: Path) -> Base:
    """Load a checkpoint as CheckpointLoaderSimple does. Needs COMFYUI_PATH or a loaded comfy."""
    import_comfyui()
    import comfy.sd

    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))
    return Base(model, clip, vae)


def paint(
    base: Base,
    prompts: Sequence[str],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    model: Any = None,
) -> NDArray[np.uint8]:
    """One picture a prompt and seed: (N, 64, 64, 3).

    `model` takes the place of the base's own: a clone of it with an adapter applied. Both
    guidance branches go through it; the negative prompt is empty.
    """
    import torch

    sampling = sampling or Sampling()
    model = base.model if model is None else model
    negative = _encode(base.clip, [""])
    pictures = []
    starts = range(0, len(prompts), sampling.batch)
    with torch.inference_mode():
        for start in progress(starts, label="paint", unit="batch", leave=False):
            part = slice(start, start + sampling.batch)
            positive = _encode(base.clip, prompts[part])
            latents = _sample(model, seeds[part], positive, negative, sampling)
            # As ComfyUI's SaveImage rounds.
            pixels = 255.0 * base.vae.decode(latents).cpu().numpy()
            pictures.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.concatenate(pictures)


def verdicts(pictures: Sequence[Any], scenes: Sequence[world.Scene]) -> list[Verdict]:
    """The judge's word on each picture."""
    return [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]


def rates(results: Sequence[Verdict]) -> dict[str, Rate]:
    """For each of ATTRIBUTES the share of pictures that show it right."""
    return {name: rate([one.as_dict()[name] for one in results]) for name in ATTRIBUTES}


def evaluate(
    base: Base,
    scenes: Sequence[world.Scene],
    seeds: Sequence[int],
    sampling: Sampling | None = None,
    model: Any = None,
) -> list[Verdict]:
    """Paint the scenes' captions and judge the pictures; the arguments are `paint`'s."""
    prompts = [world.caption(scene) for scene in scenes]
    return verdicts(list(paint(base, prompts, seeds, sampling, model)), scenes)


def _encode(clip: Any, prompts: Sequence[str]) -> list[list[Any]]:
    import torch

    encoded = [clip.encode_from_tokens_scheduled(clip.tokenize(prompt))[0] for prompt in prompts]
    context = torch.cat([one[0] for one in encoded])
    pooled = torch.cat([one[1]["pooled_output"] for one in encoded])
    return [[context, {"pooled_output": pooled}]]


def _sample(
    model: Any,
    seeds: Sequence[int],
    positive: list[list[Any]],
    negative: list[list[Any]],
    sampling: Sampling,
) -> Any:
    import comfy.sample
    import torch

    empty = torch.zeros(LATENT)
    noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds])
    return comfy.sample.sample(
        model,
        noise,
        sampling.steps,
        sampling.guidance,
        sampling.sampler,
        sampling.scheduler,
        positive,
        negative,
        torch.zeros_like(noise),
        disable_pbar=True,
        seed=seeds[0],
    )
