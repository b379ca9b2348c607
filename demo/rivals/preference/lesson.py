"""Training by preference through the base's short forward, as `demo/sweep` trains the others."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ....softrepa.adapter import Adapter
from ....training.cache.progress import progress
from ....training.objectives import DPO, Row, mean_squared_error
from ....training.settings.values import Settings
from ....training.step.batches import Batch, Batches
from ...sweep.short.forward import LEVELS, Short
from ...sweep.short.training import settings, start_of
from .lora import Lora
from .pairs import Compared


class Predict(Protocol):
    """What the bare model predicts, or with what is trained."""

    def __call__(
        self, noisy: Tensor, sigma: float, texts: tuple[Tensor, Tensor], bare: bool
    ) -> Tensor: ...


FLAGS: dict[str, Any] = {
    "objective": "dpo",
    "batch_size": 8,
    "tokens": 8,
    "learning_rate": 1e-3,
}
"""The other adapters', where they apply."""
LAYERS = {"mmdit": "0,1,2", "unet": "input"}
"""By the base's architecture."""


def flags_of(model: Short, beta: float, steps: int, seed: int) -> Settings:
    """A training's settings, with the trainer's defaults for the base's family."""
    layers = LAYERS[model.ARCHITECTURE]
    return settings(model.FAMILY, **FLAGS, layers=layers, beta=beta, steps=steps, seed=seed)


def train(model: Short, pairs: Compared, beta: float, steps: int, seed: int) -> Adapter:
    """The adapter after so many steps."""
    chosen = flags_of(model, beta, steps, seed)
    live = start_of(chosen, model).copy("cpu", trainable=True)

    def predict(noisy: Tensor, sigma: float, texts: tuple[Tensor, Tensor], bare: bool) -> Tensor:
        return model.predict(noisy, sigma, texts, None if bare else live.adapter)

    _learn(model, pairs, chosen, list(live.tensors.values()), predict)
    return live.copy("cpu", trainable=False).adapter


def train_lora(model: Short, pairs: Compared, beta: float, steps: int, seed: int) -> Lora:
    """The LoRA after so many steps, on the same batches."""
    chosen = flags_of(model, beta, steps, seed)
    lora = Lora.new(model, seed)

    def predict(noisy: Tensor, sigma: float, texts: tuple[Tensor, Tensor], bare: bool) -> Tensor:
        lora.scaled(0.0 if bare else 1.0)
        return model.predict(noisy, sigma, texts)

    with lora.on(model):
        _learn(model, pairs, chosen, lora.parameters, predict)
    return lora


def _learn(
    model: Short,
    pairs: Compared,
    chosen: Settings,
    parameters: list[Tensor],
    predict: Predict,
) -> None:
    optimizer = torch.optim.AdamW(
        parameters, chosen.learning_rate, weight_decay=chosen.weight_decay
    )
    batches = Batches(
        cache=pairs,
        images=tuple(range(pairs.count)),
        shapes={index: tuple(pairs.latents.shape[1:]) for index in range(len(pairs))},
        size=chosen.batch_size,
        timesteps=LEVELS,
        seed=chosen.seed,
        worse={index: (pairs.count + index,) for index in range(pairs.count)},
    )
    objective = DPO(**chosen.hyperparameters)
    for step in progress(range(chosen.steps), label="train", unit="step"):
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, objective, batches[step], pairs, predict).backward()
        optimizer.step()


def loss_of(
    model: Short, objective: DPO, batch: Batch, pairs: Compared, predict: Predict
) -> Tensor:
    """The batch's loss, (), with the graph to what is trained."""
    rows = len(batch.images)
    names = [batch.captions[row[0]] for row in batch.candidates]
    sigma = float(model.sigmas[batch.timestep])
    latents = torch.stack([pairs.latent(at) for at in (*batch.images, *batch.worse)])
    noisy, target = model.noised(latents, batch.noise, sigma)
    texts = model.prompts.encode([*names, *names])
    with torch.no_grad():
        bare = predict(noisy, sigma, texts, bare=True)
    predictions = predict(noisy, sigma, texts, bare=False)
    loss = predictions.new_zeros(())
    for row in range(rows):
        both = [row, rows + row]
        surveyed = predictions[both].detach()
        one = objective(Row(surveyed, target[both], rows, batch.negatives, bare[both]))
        loss = loss + one.constant
        loss = loss + one.weights @ mean_squared_error(predictions[both], one.targets)
    return loss
