"""A training step by a base's short forward against the trainer's own on ComfyUI's model."""

from __future__ import annotations

from typing import Any

import torch

from ..demo.evaluation import evaluate
from ..demo.sweep import grid
from ..demo.sweep.short import training
from ..demo.sweep.short.forward import Short
from ..training.cache import Text
from ..training.model.denoiser import Denoiser
from ..training.objectives import OBJECTIVES
from ..training.step.engine import Engine, prepare


def hold_a_step_against_the_trainers(
    base: evaluate.Base, model: Short, objective: str, weight: float = 1.0, **flags: Any
) -> None:
    """Loss and gradients of one batch, with hard captions, are the same by both ways.

    With `replay` the trainer's loss is still that of all negatives, and only gradients are held.
    """
    flags |= {"objective": objective}
    chosen = training.settings(
        model.FAMILY, batch_size=3, tokens=2, hard_share=0.5, normalise=True, **flags
    )
    pairs = training.Pairs.drawn(model, grid.training_scenes()[:6], 0)
    batch = training.batches_of(pairs, chosen)[0]
    live = training.start_of(chosen, model).copy("cpu", trainable=True)
    other = training.settings(model.FAMILY, tokens=2, seed=1, **flags)
    average = training.start_of(other, model).copy("cpu", trainable=False)
    made = OBJECTIVES[objective](**chosen.hyperparameters)
    loss = training.loss_of(model, made, batch, pairs, live, average, weight)
    loss.backward()

    texts = []
    for name in batch.captions:
        context, pooled = base.clip.encode_from_tokens(base.clip.tokenize(name), True)
        texts.append(Text(context[0], pooled[0]))
    again = training.start_of(chosen, model).copy("cpu", trainable=True)
    denoiser = Denoiser(base.model)
    latents = torch.stack([pairs.latent(image) for image in batch.images])
    task = prepare(denoiser, batch, latents, texts)
    outcome = Engine(denoiser, made, 4, weight=weight).accumulate(task, again, average, range(3))
    if "replay" not in flags:
        torch.testing.assert_close(loss.detach(), outcome.loss, rtol=1e-4, atol=1e-5)
    for name, tensor in again.tensors.items():
        scale = float(tensor.grad.abs().max())
        assert scale > 0
        found = live.tensors[name].grad
        torch.testing.assert_close(found, tensor.grad, rtol=1e-3, atol=1e-3 * scale)
