"""The trainer's steps on the short forward: its batches, objectives, tokens and optimizer.

Gradients of a whole batch at once, in bfloat16; tests/demo/test_sweep.py holds a step against
the trainer's engine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ....softrepa.adapter import Adapter
from ....training.cache import compact
from ....training.cache.progress import progress
from ....training.data.captions.hard_captions import chosen
from ....training.data.captions.words import read_words
from ....training.model.soft_tokens import SoftTokens, initial_tokens
from ....training.objectives import OBJECTIVES, Row, mean_squared_error
from ....training.settings.randomness import torch_generator
from ....training.settings.values import Settings
from ....training.step.batches import Batch, Batches
from ....training.step.task import Task
from ... import world
from .forward import LEVELS, Short
from .sd3 import Model

WIDTH = Model.WIDTH


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pictures, encoded, and their captions: what `training.step.batches` reads of a cache."""

    latents: Tensor
    texts: Sequence[str]

    @classmethod
    def drawn(cls, model: Short, scenes: Sequence[world.Scene], seed: int) -> Pairs:
        return cls(model.latents(scenes, seed), [world.caption(scene) for scene in scenes])

    def __len__(self) -> int:
        return len(self.texts)

    def latent(self, index: int) -> Tensor:
        return self.latents[index]

    def captions(self, index: int) -> Sequence[str]:
        return [self.texts[index]]

    def negatives(self, index: int) -> Sequence[str]:
        return []


def settings(family: str = Model.FAMILY, **flags: object) -> Settings:
    """The trainer's flags, with its defaults for the family where none is given."""
    unused = {"checkpoint": "", "data": Path(), "output": ""}
    return Settings.of({**unused, **flags}).completed(family)


def train(
    model: Short,
    pairs: Pairs,
    chosen_settings: Settings,
    at: Mapping[int, Callable[[Adapter], None]] | None = None,
) -> Adapter:
    """The adapter after the settings' steps. `at`: what to call with it after some of them."""
    objective = OBJECTIVES[chosen_settings.objective](**chosen_settings.hyperparameters)
    live = start_of(chosen_settings, model).copy("cpu", trainable=True)
    average = live.copy("cpu", trainable=False) if objective.SURVEY == "average" else None
    optimizer = torch.optim.AdamW(
        list(live.tensors.values()),
        chosen_settings.learning_rate,
        weight_decay=chosen_settings.weight_decay,
    )
    batches = batches_of(pairs, chosen_settings)
    weight, bits = chosen_settings.train_weight, chosen_settings.text_bits
    for step in progress(range(chosen_settings.steps), label="train", unit="step"):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, objective, batches[step], pairs, live, average, weight, bits)
        loss.backward()
        optimizer.step()
        if average is not None:
            average.average(live, chosen_settings.average_decay)
        if at and step + 1 in at:
            at[step + 1](live.copy("cpu", trainable=False).adapter)
    return live.copy("cpu", trainable=False).adapter


def loss_of(
    model: Short,
    objective: object,
    batch: Batch,
    pairs: Pairs,
    live: SoftTokens,
    average: SoftTokens | None,
    weight: float = 1.0,
    bits: int = 16,
) -> Tensor:
    """The batch's loss, (), with the graph to the tokens; weight, bits: the trainer's flags
    `--train-weight` and `--text-bits`.

    Where only some negatives are replayed its gradient is that of these, and of all on average.
    """
    rows = torch.tensor([row for row, names in enumerate(batch.candidates) for _ in names])
    names = [batch.captions[name] for row in batch.candidates for name in row]
    counts = [len(row) for row in batch.candidates]
    sigma = float(model.sigmas[batch.timestep])
    latents = torch.stack([pairs.latent(image) for image in batch.images])
    noisy, target = model.noised(latents, batch.noise, sigma)
    noisy = noisy[rows]
    banks = torch.ones(len(rows), dtype=torch.int64) if objective.BANKS == 2 else None
    if banks is not None:
        banks[torch.tensor([0, *counts[:-1]]).cumsum(0)] = 0

    def predict(tokens: SoftTokens, at: Sequence[int] = range(len(names))) -> Tensor:
        texts = texts_of(model, [names[place] for place in at], bits)
        bank = None if banks is None else banks[list(at)]
        return model.predict(noisy[list(at)], sigma, texts, tokens.adapter, bank, weight=weight)

    shares = torch.tensor(_shares(batch))
    again = shares.nonzero().flatten().tolist()
    predictions = survey = None
    if batch.replayed is None:
        predictions = predict(live)
        survey = predictions.detach()
    if survey is None or objective.SURVEY == "average":
        with torch.no_grad():
            survey = predict(average if objective.SURVEY == "average" else live)
    regressions = [
        objective(Row(part, target[row], len(counts), batch.negatives))
        for row, part in enumerate(survey.split(counts))
    ]
    targets = torch.cat(
        [
            one.targets.expand(count, -1, -1, -1)
            for one, count in zip(regressions, counts, strict=True)
        ]
    )
    weights = torch.cat([one.weights for one in regressions])
    if predictions is None:
        predictions = predict(live, again)
    constant = sum(one.constant for one in regressions)
    factors = (weights * shares)[again]
    return constant + factors @ mean_squared_error(predictions, targets[again])


def texts_of(model: Short, captions: list[str], bits: int) -> tuple[Tensor, Tensor]:
    """Encoded captions as the trainer's cache gives them back."""
    rows, further = model.prompts.encode(captions)
    if bits == 8:
        stored = compact.quartered(compact.halved(rows.flatten(0, -2)).float())
        rows = compact.whole(*stored).view_as(rows)
    return rows, further


def _shares(batch: Batch) -> list[float]:
    """What each candidate's gradient counts, see `Task.shares`."""
    task = Task(None, None, batch.candidates, batch.negatives, batch.replayed)
    return [share for row in range(len(batch.candidates)) for share in task.shares(row)]


def start_of(chosen_settings: Settings, model: Short | type[Short] = Model) -> SoftTokens:
    """The tokens that training begins with, as `training.model.design` makes them.

    A U-Net's chosen groups of blocks share one row; `--start bos` needs a loaded model.
    """
    layers, unet = tuple(chosen_settings.layers.split(",")), model.ARCHITECTURE == "unet"
    appended = OBJECTIVES[chosen_settings.objective].APPENDED
    return initial_tokens(
        banks=OBJECTIVES[chosen_settings.objective].BANKS,
        rows=1 if unet else len(layers),
        tokens=chosen_settings.tokens,
        width=model.WIDTH,
        offset_width=model.WIDTH if chosen_settings.time_offsets else None,
        architecture=model.ARCHITECTURE,
        placement="after_bos" if unet else "append" if appended else "prepend",
        layers=layers,
        generator=torch_generator(chosen_settings.seed, "tokens"),
        bos=model.prompts.first() if chosen_settings.start == "bos" else None,
    )


def batches_of(pairs: Pairs, chosen_settings: Settings) -> Batches:
    """The trainer's batches, by step."""
    known = {}
    if count := chosen_settings.hard_captions:
        captions = list(dict.fromkeys(pairs.texts))
        known = chosen(captions, count, chosen_settings.seed, read_words())

    def hard(caption: str, rng: random.Random) -> list[str]:
        made = list(known.get(caption, ()))
        return rng.sample(made, len(made))

    return Batches(
        cache=pairs,
        images=tuple(range(len(pairs))),
        shapes={index: tuple(pairs.latents.shape[1:]) for index in range(len(pairs))},
        size=chosen_settings.batch_size,
        timesteps=LEVELS,
        seed=chosen_settings.seed,
        hard_share=chosen_settings.hard_share,
        hard_captions=hard,
        negatives=chosen_settings.negatives,
        replay=chosen_settings.replay,
    )
