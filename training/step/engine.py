"""Exact gradients of the B × B loss in the memory of one micro-batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...injection import Application, make_application
from ..model.denoiser import Denoiser
from ..model.graph.options import recomputes, with_adapter
from ..model.soft_tokens import SoftTokens
from ..objectives import Objective, Regression, Row, mean_squared_error
from .task import Pair, Task, assembled, groups, micro_batches, prepare, taken

__all__ = ["Engine", "Outcome", "Pair", "Task", "prepare"]


@dataclass(frozen=True)
class Outcome:
    """loss: (), the batch's loss over the rows done here; hits: (), rows whose own caption had the
    lowest error as inference predicts it, with the first bank for every caption; of pictures, rows
    whose better one gained more by the tokens (or lost less) than the worse. Both stay on the
    device.

    Training with two banks judges only the batch's first row, for all of them: predictions with the
    first bank are no part of such a loss, and of one row they cost little.
    """

    loss: Tensor
    hits: Tensor


class Engine:
    """Adds d loss / d tokens to the tokens' .grad, a few predictions at a time.

    Rows (images) are independent. Within a row the loss couples all candidates, but only through
    what the objective reads off a survey made without a graph; then each micro-batch is predicted
    again with one and backpropagated. Where the survey is made with the tokens in training and
    fits one micro-batch, its graph is kept and nothing is predicted twice. Where only some of the
    negatives are replayed, the others have no second prediction and no backward pass.

    micro_batch: predictions that may have a graph at once, >= 1. It may span rows.
    base_options: `transformer_options` that training adds to (see `graph`).
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
        """Gradients and loss of these rows' share of the batch, added to the tokens' .grad.

        average: the moving average of the tokens, for objectives that survey with it.
        """
        with self.denoiser.mutations(recomputes(self.base_options)):
            return self._accumulate(task, live, average, rows)

    def _accumulate(
        self, task: Task, live: SoftTokens, average: SoftTokens | None, rows: Iterable[int]
    ) -> Outcome:
        application = self._application(live)
        survey = application
        if self.objective.SURVEY == "average":
            survey = self._application(average)
        # A power of two, so exact: it brings gradients at the network's output to about one, where
        # half-precision weights do not lose them.
        scale = _power_of_two(task.noisy.target[0].numel() * len(task.candidates))
        before = {name: tensor.grad for name, tensor in live.tensors.items()}
        for tensor in live.tensors.values():
            tensor.grad = None
        loss = hits = torch.zeros((), device=self.denoiser.device)
        for group in groups(task, rows, self.micro_batch):
            outcome = self._group(task, group, application, survey, scale)
            loss, hits = loss + outcome.loss, hits + outcome.hits
            if self.objective.BANKS == 2 and 0 in group:
                judged = self._predict_all(task, task.pairs(0), application, used=True)
                errors = self._errors(task, task.pairs(0), judged)
                hits = hits + len(task.candidates) * _hits(task, [0], errors)
        for name, tensor in live.tensors.items():
            if tensor.grad is None:
                tensor.grad = before[name]
                continue
            tensor.grad.div_(scale)
            if before[name] is not None:
                tensor.grad.add_(before[name])
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
        for group in groups(task, rows, self.micro_batch):
            pairs = [pair for row in group for pair in task.pairs(row)]
            predictions = survey = self._predict_all(task, pairs, application)
            if self.objective.SURVEY == "average":
                survey = self._predict_all(task, pairs, self._application(average))
            reference = self._reference(task, pairs)
            regressions = self._regressions(task, group, survey, reference)
            targets, weights = _flatten(regressions, [len(task.pairs(row)) for row in group])
            loss = loss + sum(one.constant for one in regressions)
            loss = loss + weights @ mean_squared_error(predictions, targets)
            if self.objective.BANKS == 2:
                predictions = self._predict_all(task, pairs, application, used=True)
            hits = hits + _hits(task, group, self._errors(task, pairs, predictions, reference))
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
        shares = [share for row in rows for share in task.shares(row)]
        whole = survey is application and task.replayed is None
        if whole and len(pairs) <= self.micro_batch:
            graphs = [
                (at, self._predict(task, [pairs[i] for i in at], application))
                for at in micro_batches(task, pairs, range(len(pairs)), self.micro_batch)
            ]
            surveyed = assembled(graphs, len(pairs))
        else:
            graphs = None
            surveyed = self._predict_all(task, pairs, survey)
        reference = self._reference(task, pairs)
        regressions = self._regressions(task, rows, surveyed, reference)
        targets, weights = _flatten(regressions, [len(task.pairs(row)) for row in rows])
        if graphs is None:
            # One look at the weights a group, to leave out what has no gradient.
            known = zip(weights.tolist(), shares, strict=True)
            active = [at for at, (weight, share) in enumerate(known) if weight and share]
            graphs = (
                (at, self._predict(task, [pairs[i] for i in at], application))
                for at in micro_batches(task, pairs, active, self.micro_batch)
            )
        loss = sum(one.constant for one in regressions)
        if survey is application:  # exact also where only some are replayed
            loss = loss + weights @ mean_squared_error(surveyed, targets)
        for at, predictions in graphs:
            regressed = mean_squared_error(predictions, taken(targets, at))
            factors = [weights[i] * shares[i] for i in at]
            weighed = torch.stack(factors) @ regressed
            (scale * weighed).backward()
            if survey is not application:
                loss = loss + weighed.detach()
        if self.objective.BANKS == 2:
            return Outcome(loss, torch.zeros_like(loss))
        return Outcome(loss, _hits(task, rows, self._errors(task, pairs, surveyed, reference)))

    def _regressions(
        self, task: Task, rows: Sequence[int], survey: Tensor, reference: Tensor | None
    ) -> list[Regression]:
        counts = [len(task.candidates[row]) for row in rows]
        parts = survey.detach().split(counts)
        bare = [None] * len(rows) if reference is None else reference.split(counts)
        size = len(task.candidates), task.negatives
        return [
            self.objective(Row(part, task.target(row), *size, reference=of_bare))
            for row, part, of_bare in zip(rows, parts, bare, strict=True)
        ]

    def _reference(self, task: Task, pairs: list[Pair]) -> Tensor | None:
        """What the bare model predicts, where the objective compares pictures by it."""
        return self._predict_all(task, pairs, None) if task.compared else None

    def _errors(
        self,
        task: Task,
        pairs: Sequence[Pair],
        predictions: Tensor,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Of each, (n,); less the bare model's, where there is a reference."""
        targets = taken(task.noisy.target, [pair.picture for pair in pairs])
        errors = mean_squared_error(predictions.detach(), targets)
        return errors if reference is None else errors - mean_squared_error(reference, targets)

    @torch.no_grad()
    def _predict_all(
        self, task: Task, pairs: list[Pair], application: Application | None, used: bool = False
    ) -> Tensor:
        parts = [
            (at, self._predict(task, [pairs[i] for i in at], application, used))
            for at in micro_batches(task, pairs, range(len(pairs)), self.micro_batch)
        ]
        return assembled(parts, len(pairs))

    def _predict(
        self,
        task: Task,
        pairs: Sequence[Pair],
        application: Application | None,
        used: bool = False,
    ) -> Tensor:
        """application: None for the bare model. used: as the adapter is used, with the first bank
        for every caption."""
        if self.objective.BANKS == 2 and not used:
            banks = torch.arange(2, device=self.denoiser.device)
            bank = taken(banks, [0 if pair.own else 1 for pair in pairs])
            application = replace(application, bank=bank)
        options = self.base_options
        if application is not None:
            options = with_adapter(options, application)
        return self.denoiser.predict(
            taken(task.noisy.x, [pair.picture for pair in pairs]),
            task.noisy.sigma,
            task.conditions.take([pair.caption for pair in pairs]),
            options,
        )

    def _application(self, tokens: SoftTokens, weight: float | None = None) -> Application:
        counted = self.weight if weight is None else weight
        return weighed(self.denoiser.model, tokens, counted)


def weighed(model: torch.nn.Module, tokens: SoftTokens, weight: float) -> Application:
    """The tokens on the model, each counting `weight` times in attention: at 1 as the Apply node
    has them."""
    return make_application(model, tokens.adapter, weight, strength_as="attention")


def _flatten(regressions: Sequence[Regression], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    targets = [
        one.targets.expand(count, *one.targets.shape[1:])
        for one, count in zip(regressions, counts, strict=True)
    ]
    return torch.cat(targets), torch.cat([one.weights for one in regressions])


def _hits(task: Task, rows: Sequence[int], errors: Tensor) -> Tensor:
    counts = [len(task.candidates[row]) for row in rows]
    return sum((part.argmin() == 0).float() for part in errors.split(counts))


def _power_of_two(number: int) -> float:
    return 2.0 ** round(math.log2(number))
