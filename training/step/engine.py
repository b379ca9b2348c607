"""Exact gradients of the B × B loss in the memory of one micro-batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...injection import Application, make_application, model_options
from ..model.denoiser import Conditions, Denoiser, Noisy
from ..model.soft_tokens import SoftTokens
from ..objectives import Objective, Regression, Row, mean_squared_error
from .batches import Batch


@dataclass(frozen=True)
class Pair:
    """An image of the batch under one of its candidate captions."""

    row: int
    caption: int
    own: bool


@dataclass(frozen=True)
class Task:
    """One batch on the device, ready to be predicted."""

    noisy: Noisy
    conditions: Conditions
    candidates: Sequence[Sequence[int]]
    negatives: int

    def pairs(self, row: int) -> list[Pair]:
        return [Pair(row, caption, at == 0) for at, caption in enumerate(self.candidates[row])]


@dataclass(frozen=True)
class Outcome:
    """loss: (), the batch's loss over the rows done here; hits: (), rows whose own caption had the
    lowest error. Both stay on the device."""

    loss: Tensor
    hits: Tensor


class Engine:
    """Adds d loss / d tokens to the tokens' .grad, a few predictions at a time.

    Rows (images) are independent. Within a row the loss couples all candidates, but only through
    what the objective reads off a survey made without a graph; then each micro-batch is predicted
    again with one and backpropagated. Where the survey is made with the tokens in training and
    fits one micro-batch, its graph is kept and nothing is predicted twice.

    micro_batch: predictions that may have a graph at once, >= 1. It may span rows.
    base_options: `transformer_options` that training adds to (see `joint_blocks`).
    weight: how often a soft token counts in attention, above 0.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        objective: Objective,
        micro_batch: int,
        base_options: dict[str, Any] | None = None,
        weight: float = 1.0,
    ) -> None:
        self.denoiser = denoiser
        self.objective = objective
        self.micro_batch = micro_batch
        self.base_options = base_options or {}
        self.weight = weight

    def accumulate(
        self, task: Task, live: SoftTokens, average: SoftTokens | None, rows: Iterable[int]
    ) -> Outcome:
        """Gradients and loss of these rows' share of the batch. The tokens' .grad must be empty.

        average: the moving average of the tokens, for objectives that survey with it.
        """
        application = self._application(live)
        survey = application
        if self.objective.SURVEY == "average":
            survey = self._application(average)
        # A power of two, so exact: it brings gradients at the network's output to about one, where
        # half-precision weights do not lose them.
        scale = _power_of_two(task.noisy.target[0].numel() * len(task.candidates))
        loss = hits = torch.zeros((), device=self.denoiser.device)
        for group in _groups(task, rows, self.micro_batch):
            outcome = self._group(task, group, application, survey, scale)
            loss, hits = loss + outcome.loss, hits + outcome.hits
        for tensor in live.tensors.values():
            if tensor.grad is not None:
                tensor.grad.div_(scale)
        return Outcome(loss, hits)

    @torch.no_grad()
    def evaluate(
        self,
        task: Task,
        live: SoftTokens,
        average: SoftTokens | None,
        rows: Iterable[int],
        weight: float | None = None,
    ) -> Outcome:
        """Loss and hits of these rows, without gradients.

        weight: what the live tokens count in attention, where that is not as in training.
        """
        application = self._application(live, weight)
        loss = hits = torch.zeros((), device=self.denoiser.device)
        for group in _groups(task, rows, self.micro_batch):
            pairs = [pair for row in group for pair in task.pairs(row)]
            predictions = survey = self._predict_all(task, pairs, application)
            if self.objective.SURVEY == "average":
                survey = self._predict_all(task, pairs, self._application(average))
            regressions = self._regressions(task, group, survey)
            targets, weights = _flatten(regressions, [len(task.pairs(row)) for row in group])
            loss = loss + sum(one.constant for one in regressions)
            loss = loss + weights @ mean_squared_error(predictions, targets)
            hits = hits + _hits(task, group, self._errors(task, pairs, predictions))
        return Outcome(loss, hits)

    def _group(
        self,
        task: Task,
        rows: Sequence[int],
        application: Application,
        survey: Application,
        scale: float,
    ) -> Outcome:
        pairs = [pair for row in rows for pair in task.pairs(row)]
        if survey is application and len(pairs) <= self.micro_batch:
            graphs = [
                (at, self._predict(task, [pairs[i] for i in at], application))
                for at in _micro_batches(task, pairs, range(len(pairs)), self.micro_batch)
            ]
            surveyed = _assemble(graphs, len(pairs))
        else:
            graphs = None
            surveyed = self._predict_all(task, pairs, survey)
        regressions = self._regressions(task, rows, surveyed)
        targets, weights = _flatten(regressions, [len(task.pairs(row)) for row in rows])
        if graphs is None:
            # One look at the weights a group, to leave out what has no gradient.
            active = [at for at, weight in enumerate(weights.tolist()) if weight != 0.0]
            graphs = (
                (at, self._predict(task, [pairs[i] for i in at], application))
                for at in _micro_batches(task, pairs, active, self.micro_batch)
            )
        loss = sum(one.constant for one in regressions)
        errors = self._errors(task, pairs, surveyed)
        for at, predictions in graphs:
            regressed = mean_squared_error(predictions, targets[at])
            (scale * (weights[at] @ regressed)).backward()
            loss = loss + weights[at] @ regressed.detach()
            if survey is not application:
                errors[at] = self._errors(task, [pairs[i] for i in at], predictions)
        return Outcome(loss, _hits(task, rows, errors))

    def _regressions(self, task: Task, rows: Sequence[int], survey: Tensor) -> list[Regression]:
        counts = [len(task.candidates[row]) for row in rows]
        return [
            self.objective(Row(part, task.noisy.target[row], len(task.candidates), task.negatives))
            for row, part in zip(rows, survey.detach().split(counts), strict=True)
        ]

    def _errors(self, task: Task, pairs: Sequence[Pair], predictions: Tensor) -> Tensor:
        rows = [pair.row for pair in pairs]
        return mean_squared_error(predictions.detach(), task.noisy.target[rows])

    @torch.no_grad()
    def _predict_all(self, task: Task, pairs: list[Pair], application: Application) -> Tensor:
        parts = [
            (at, self._predict(task, [pairs[i] for i in at], application))
            for at in _micro_batches(task, pairs, range(len(pairs)), self.micro_batch)
        ]
        return _assemble(parts, len(pairs))

    def _predict(self, task: Task, pairs: Sequence[Pair], application: Application) -> Tensor:
        if self.objective.BANKS == 2:
            bank = torch.tensor([0 if pair.own else 1 for pair in pairs])
            application = replace(application, bank=bank.to(self.denoiser.device))
        return self.denoiser.predict(
            task.noisy.x[[pair.row for pair in pairs]],
            task.noisy.sigma,
            task.conditions.take([pair.caption for pair in pairs]),
            {**self.base_options, **model_options(application)},
        )

    def _application(self, tokens: SoftTokens, weight: float | None = None) -> Application:
        counted = self.weight if weight is None else weight
        return weighed(self.denoiser.model, tokens, counted)


def weighed(model: torch.nn.Module, tokens: SoftTokens, weight: float) -> Application:
    """The tokens on the model, each counting `weight` times in attention: at 1 as the Apply node
    has them."""
    return make_application(model, tokens.adapter, weight, strength_as="attention")


def prepare(denoiser: Denoiser, batch: Batch, latents: Tensor, texts: Sequence[Any]) -> Task:
    """A batch's latents, (B, C, h, w), and encoded captions (in the batch's order) as a Task."""
    latents = latents.to(denoiser.device, torch.float32)
    noisy = denoiser.noised(latents, batch.noise.to(denoiser.device), batch.timestep)
    conditions = denoiser.conditions(texts, latents)
    return Task(noisy, conditions, batch.candidates, batch.negatives)


def _groups(task: Task, rows: Iterable[int], limit: int) -> Iterator[list[int]]:
    """As many consecutive rows as fit one micro-batch, at least one."""
    group: list[int] = []
    pairs = 0
    for row in rows:
        count = len(task.candidates[row])
        if group and pairs + count > limit:
            yield group
            group, pairs = [], 0
        group.append(row)
        pairs += count
    if group:
        yield group


def _micro_batches(
    task: Task, pairs: Sequence[Pair], chosen: Iterable[int], limit: int
) -> Iterator[list[int]]:
    """Positions in `pairs`, in parts of equal size up to the limit and of one text length each."""
    by_shape: dict[Any, list[int]] = {}
    for at in chosen:
        by_shape.setdefault(task.conditions.shapes[pairs[at].caption], []).append(at)
    for positions in by_shape.values():
        parts = math.ceil(len(positions) / limit)
        size = math.ceil(len(positions) / parts)
        for start in range(0, len(positions), size):
            yield positions[start : start + size]


def _assemble(parts: Sequence[tuple[list[int], Tensor]], count: int) -> Tensor:
    """Predictions in the pairs' order, (count, C, h, w), without graph."""
    whole = torch.empty((count, *parts[0][1].shape[1:]), device=parts[0][1].device)
    for at, predictions in parts:
        whole[at] = predictions.detach().to(whole)
    return whole


def _flatten(regressions: Sequence[Regression], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    targets = [
        one.targets.expand(count, -1, -1, -1)
        for one, count in zip(regressions, counts, strict=True)
    ]
    return torch.cat(targets), torch.cat([one.weights for one in regressions])


def _hits(task: Task, rows: Sequence[int], errors: Tensor) -> Tensor:
    counts = [len(task.candidates[row]) for row in rows]
    return sum((part.argmin() == 0).float() for part in errors.split(counts))


def _power_of_two(number: int) -> float:
    return 2.0 ** round(math.log2(number))
