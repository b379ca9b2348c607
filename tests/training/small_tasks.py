"""A batch to train on for each of `small_models`: latents, captions as encoded, tokens."""

from __future__ import annotations

import torch
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.small_models import SmallModel
from comfyui_softrepa.training.cache import Text
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.soft_tokens import SoftTokens
from comfyui_softrepa.training.step.batches import Batch
from comfyui_softrepa.training.step.task import Task, prepare

THERE = [name for name in small_models.KINDS if small_models.there(name)]


def texts(small: SmallModel, count: int, more: dict[str, torch.Tensor] | None = None) -> list[Text]:
    """Captions that differ; with a pooled embedding where the model has one."""
    pooled = small.kind.more(count).get("y")
    contexts = small.context(count)
    return [
        Text(contexts[at], None if pooled is None else pooled[at], more or {})
        for at in range(count)
    ]


def task(
    small: SmallModel, denoiser: Denoiser, images: int = 2, timestep: float = 0.6, **more
) -> Task:
    """All images under all captions, at a share of the model's own levels."""
    latents = small.x(images)
    batch = Batch(
        images=tuple(range(images)),
        captions=tuple(map(str, range(images))),
        candidates=tuple(tuple(range(at, images)) + tuple(range(at)) for at in range(images)),
        timestep=int(timestep * denoiser.timesteps),
        noise=torch.randn(1, *latents.shape[1:], generator=torch.Generator().manual_seed(3)),
    )
    return prepare(denoiser, batch, latents, texts(small, images, **more))


def live(small: SmallModel, **shape) -> SoftTokens:
    return SoftTokens(small.adapter(**shape)).copy("cpu", trainable=True)
