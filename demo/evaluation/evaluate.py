"""Paint prompts with a checkpoint inside this process, and have the judge rate the pictures.

Every picture is painted as a trial's: what ComfyUI's KSampler gives for its prompt and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.statistics.rates import Rate, rate
from ...evaluation.trial import Sampling
from ...host.pack import import_comfyui
from ...training.cache.progress import progress
from .. import world
from ..world.judge import ATTRIBUTES, Verdict, judge

LATENT = (1, 16, world.SIZE // 8, world.SIZE // 8)


def sampling(guidance: float = 4.0, steps: int = 20) -> Sampling:
    """How pictures of this world are painted."""
    return Sampling("euler", "simple", steps, guidance, world.SIZE, world.SIZE)


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
    settings: Sampling | None = None,
    model: Any = None,
) -> NDArray[np.uint8]:
    """One picture a prompt and seed: (N, 64, 64, 3).

    `model` takes the place of the base's own: a clone of it with an adapter applied. Both
    guidance branches go through it; the negative prompt is empty.
    """
    import torch

    from ...evaluation.painting.arms import Arm
    from ...evaluation.painting.picture import as_image, sample

    settings, arm = settings or sampling(), Arm("", model or base.model, base.clip)
    negative, pictures = _encoded(base.clip, ""), []
    with torch.inference_mode():
        pairs = list(zip(prompts, seeds, strict=True))
        for prompt, seed in progress(pairs, label="paint", unit="", leave=False):
            texts = _encoded(base.clip, prompt), negative
            pixels = sample(arm, base.vae, texts, seed, settings, lambda *step: None)
            pictures.append(np.asarray(as_image(pixels)))
    return np.stack(pictures)


def _encoded(clip: Any, text: str) -> list[Any]:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


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
    settings: Sampling | None = None,
    model: Any = None,
) -> list[Verdict]:
    """Paint the scenes' captions and judge the pictures; the arguments are `paint`'s."""
    prompts = [world.caption(scene) for scene in scenes]
    return verdicts(list(paint(base, prompts, seeds, settings, model)), scenes)
