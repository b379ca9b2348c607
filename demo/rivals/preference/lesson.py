"""Training by preference through the base's short forward, as `demo/sweep` trains the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ....softrepa.adapter import Adapter
from ....training.cache.progress import progress
from ....training.model.soft_tokens import SoftTokens
from ....training.objectives import DPO, Row, mean_squared_error
from ....training.step.batches import Batch, Batches
from ...sweep.model import LEVELS, Model
from ...sweep.training import settings, start_of
from .pairs import Compared

FLAGS: dict[str, Any] = {
    "objective": "dpo",
    "batch_size": 8,
    "tokens": 8,
    "layers": "0,1,2",
    "time_offsets": False,
    "learning_rate": 1e-3,
}
"""The sweep's, where they apply."""


def train(model: Model, pairs: Compared, beta: float, steps: int, seed: int) -> Adapter:
    """The adapter after so many steps."""
    chosen = settings(**FLAGS, beta=beta, steps=steps, seed=seed)
    live = start_of(chosen).copy("cpu", trainable=True)
    optimizer = torch.optim.AdamW(
        list(live.tensors.values()), chosen.learning_rate, weight_decay=chosen.weight_decay
    )
    batches = Batches(
        cache=pairs,
        images=tuple(range(pairs.count)),
        shapes={index: tuple(pairs.latents.shape[1:]) for index in range(len(pairs))},
        size=chosen.batch_size,
        timesteps=LEVELS,
        seed=seed,
        worse={index: (pairs.count + index,) for index in range(pairs.count)},
    )
    objective = DPO(**chosen.hyperparameters)
    for step in progress(range(steps), label="train", unit="step"):
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, objective, batches[step], pairs, live).backward()
        optimizer.step()
    return live.copy("cpu", trainable=False).adapter


def loss_of(
    model: Model, objective: DPO, batch: Batch, pairs: Compared, live: SoftTokens
) -> Tensor:
    """The batch's loss, (), with the graph to the tokens."""
    rows = len(batch.images)
    names = [batch.captions[row[0]] for row in batch.candidates]
    sigma = float(model.sigmas[batch.timestep])
    latents = torch.stack([pairs.latent(at) for at in (*batch.images, *batch.worse)])
    noisy, target = (
        torch.lerp(latents, batch.noise.expand_as(latents), sigma),
        batch.noise - latents,
    )
    texts = model.prompts.encode([*names, *names])
    with torch.no_grad():
        bare = model.predict(noisy, sigma, texts)
    predictions = model.predict(noisy, sigma, texts, live.adapter)
    loss = predictions.new_zeros(())
    for row in range(rows):
        both = [row, rows + row]
        surveyed = predictions[both].detach()
        one = objective(Row(surveyed, target[both], rows, batch.negatives, bare[both]))
        loss = loss + one.constant
        loss = loss + one.weights @ mean_squared_error(predictions[both], one.targets)
    return loss
