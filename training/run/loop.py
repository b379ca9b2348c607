"""The training loop: steps, validation, checkpoints, and stopping in good order.

Whether an update was good shows only in the next forward pass. So what is saved of step N is saved
in step N + 1, once its loss is known and before its update; the last step has a forward pass of its
own for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..model.soft_tokens import SoftTokens
from ..step import memory
from ..step.batches import Batch, Batches
from ..step.engine import Engine, Outcome, Task, prepare
from ..step.processes import Processes, zero_missing
from ..step.strengths import losses, recommended
from ..step.validation import validate
from . import guard
from .guard import Diverged, Measured
from .host import Stopping
from .output.log import Log, Silence
from .output.saving import Saving
from .output.state import Checkpoint, Progress
from .previews import Previews
from .stopping import Stop


class Interrupted(Exception):
    """The user stopped the run; its state has been saved."""


@dataclass
class Loop:
    """One run.

    text_of: caption -> its encoding. average: the moving average of the tokens, where the objective
    asks for one. validation: (range name, batch), none for no validation. previews: painted every
    so many steps and at the end.
    """

    engine: Engine
    batches: Batches
    text_of: Callable[[str], Any]
    live: SoftTokens
    average: SoftTokens | None
    average_decay: float
    optimizer: torch.optim.Optimizer
    progress: Progress
    saving: Saving
    log: Log | Silence
    processes: Processes
    save_every: int
    remedies: memory.Remedies
    validation: list[tuple[str, Batch]] = field(default_factory=list)
    stop: Stopping = field(default_factory=Stop)
    previews: Previews | None = None
    preview_every: int = 0

    def __post_init__(self) -> None:
        self._good: Checkpoint | None = None
        self._saved = self.progress.step
        self._due = False
        self._bad = 0

    def train(self, steps: int) -> None:
        """Goes on to step `steps`, then writes the adapter.

        Raises Interrupted, Diverged and OutOfMemory; what was good before is saved then.
        """
        try:
            with self.stop.signals(self.log.say):
                self._train(steps)
        except (Diverged, memory.OutOfMemory):
            self.save()
            raise
        except self.stop.exceptions as error:
            self.save()
            raise Interrupted from error

    def _train(self, steps: int) -> None:
        while self.progress.step < steps:
            began = time.monotonic()
            entry, interrupted = self._step()
            last = self.progress.step == steps
            due = last or self.progress.step % self.save_every == 0
            self._due |= due
            if self.progress.step == 1 and self.processes.first:
                # Only now: a new run that cannot even begin destroys nothing.
                self.saving.output.clear()
            self.progress.strengths = {}
            if due and self.validation:
                entry |= self._validate(last)
            # The log comes before the state: a kill in between only repeats a step.
            self.log.step(**entry, seconds=round(time.monotonic() - began, 4))
            if self.previews and not interrupted and (last or self._previews_due()):
                self.previews.paint(self.engine.denoiser, self.live, self.progress.step)
            if interrupted and not last:
                self._prove()
                self.save()
                raise Interrupted
        if self._saved >= steps:  # a finished run, whose adapter is missing or has other labels
            if self.processes.first:
                self.saving.adapter(self.live, self.progress)
        elif self._prove():
            self.save()
        else:
            raise self._diverged("no batch has a finite loss with the last tokens")

    def _previews_due(self) -> bool:
        return self.progress.step % self.preview_every == 0

    def save(self) -> None:
        """The last good step, where it is not saved yet."""
        good = self._good
        if good is None or good.progress.step <= self._saved:
            return
        if self.processes.first:
            self.saving.all_of(good, self.live)
        self._saved, self._due = good.progress.step, False

    def task(self, batch: Batch) -> Task:
        """A batch's latents and texts, from the cache to the device."""
        latents = torch.stack([self.batches.cache.latent(image) for image in batch.images])
        texts = [self.text_of(caption) for caption in batch.captions]
        return prepare(self.engine.denoiser, batch, latents, texts)

    def _step(self) -> tuple[dict[str, Any], bool]:
        """One update of the tokens: (log entry, whether any process was told to stop)."""
        batch = self.batches[self.progress.step]
        found, interrupted = self._measure(batch, self._accumulate)
        entry = {
            "step": self.progress.step + 1,
            "loss": found.loss,
            "accuracy": found.hits / len(batch.images),
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": found.gradient,
            "token_norm": found.tokens,
        }
        if reason := guard.fault_of_tokens(found, self.progress):
            raise self._diverged(reason)
        if reason := guard.fault_of_step(found, self.progress):
            self._skip(reason)
            return {**entry, "skipped": True}, interrupted
        self._keep()
        guard.learn(found, self.progress)
        self._bad = 0
        self.optimizer.step()
        if self.average is not None:
            self.average.average(self.live, self.average_decay)
        self.progress.step += 1
        return entry, interrupted

    def _accumulate(self, batch: Batch, rows: range) -> Outcome:
        return self.engine.accumulate(self.task(batch), self.live, self.average, rows)

    def _evaluate(self, batch: Batch, rows: range, weight: float | None = None) -> Outcome:
        return self.engine.evaluate(self.task(batch), self.live, self.average, rows, weight)

    def _measure(
        self, batch: Batch, work: Callable[[Batch, range], Outcome]
    ) -> tuple[Measured, bool]:
        """A batch's loss and norms over all processes, and whether any was told to stop."""
        outcome = self._afford(work, batch, self.processes.share(len(batch.images)))
        nothing = torch.zeros((), device=self.engine.denoiser.device)
        loss, hits = (nothing, nothing) if outcome is None else (outcome.loss, outcome.hits)
        parameters = list(self.live.tensors.values())
        zero_missing(parameters)
        flags = loss.new_tensor([float(self.stop.asked), float(outcome is None)])
        sums = torch.cat((torch.stack((loss, hits)), flags))
        gradients = [parameter.grad for parameter in parameters]
        self.processes.sum(sums, *gradients)
        norms = torch.stack((_norm(gradients), _norm(parameters)))
        # The step's only look at the device.
        loss, hits, stopped, failed, gradient, tokens = torch.cat((sums, norms)).tolist()
        if failed:
            raise self._out_of_memory()
        return Measured(loss, hits, gradient, tokens), stopped > 0

    def _afford(
        self, work: Callable[[Batch, range], Outcome], batch: Batch, rows: range
    ) -> Outcome | None:
        """What `work` gives, with half the micro-batch where memory runs out; None where that is
        the user's own or cannot be halved."""
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            try:
                return work(batch, rows)
            except Exception as error:
                if not memory.ran_out(error):
                    raise
            # Only here: the exception holds on to all that the step had made.
            memory.free()
            if not self.remedies.auto or self.engine.micro_batch == 1:
                return None
            self.engine.micro_batch //= 2
            self.log.say(f"Memory ran out: going on with --micro-batch {self.engine.micro_batch}.")

    def _keep(self) -> None:
        """This step's forward pass shows that the tokens as they are now are good."""
        self._good = Checkpoint.taken(self.progress, self.live, self.average, self.optimizer)
        if self._due:
            self.save()

    def _prove(self) -> bool:
        """Tries the tokens on the batches to come, until one shows that they are good."""
        for step in range(self.progress.step, self.progress.step + guard.MOST_BAD):
            found, _ = self._measure(self.batches[step], self._evaluate)
            if guard.fault_of_tokens(found, self.progress):
                return False
            if not guard.fault_of_step(found, self.progress):
                self._keep()
                return True
        return False

    def _skip(self, reason: str) -> None:
        """Leaves the tokens as they are. Deterministic, so that a resumed run skips the same."""
        self._bad += 1
        self.progress.step += 1
        self.progress.skipped += 1
        if self._bad == 1:
            self.log.say(f"Step {self.progress.step} is skipped: {reason}.")
        if self._bad == guard.MOST_BAD:
            raise self._diverged(f"{reason} in {self._bad} steps in a row")

    @property
    def _kept(self) -> int:
        """The last step that is saved, or can be."""
        return self._saved if self._good is None else max(self._saved, self._good.progress.step)

    def _diverged(self, reason: str) -> Diverged:
        name, step = self.saving.output.adapter.name, self._kept
        go_on = f"{name} holds step {step}, the last good one; go on with --resume and"
        return Diverged(
            f"{reason[0].upper()}{reason[1:]} at step {self.progress.step}: "
            f"{go_on if step else 'start anew with'} a lower --learning-rate, or --precision bf16 "
            "where the model runs in fp16."
        )

    def _out_of_memory(self) -> memory.OutOfMemory:
        micro_batch = self.engine.micro_batch
        return memory.OutOfMemory(
            f"Memory ran out at step {self.progress.step + 1} with --micro-batch {micro_batch}: "
            f"{self.remedies.advice(micro_batch, self._kept)}."
        )

    def _validate(self, last: bool) -> dict[str, Any]:
        def evaluate(batch: Batch, rows: range, weight: float | None = None) -> Outcome:
            outcome = self._afford(partial(self._evaluate, weight=weight), batch, rows)
            if outcome is None:
                raise self._out_of_memory()
            return outcome

        found = validate(evaluate, self.validation, self.processes)
        if found.loss < self.progress.best_loss:
            self.progress.best_loss = found.loss
            if self.processes.first:
                self.saving.best(self.live, self.progress)
        if last:  # said of the last adapter alone: a longer run leaves no trace of it
            self.progress.strengths = losses(evaluate, self.validation, self.processes)
            if best := recommended(self.progress.strengths):
                self.log.say(f"Held-out captions are told apart best at strength {best}.")
        return {
            "val_loss": found.loss,
            "val_accuracy": found.accuracy,
            "val_by_timestep": found.by_timestep,
        }


def _norm(tensors: list[Tensor]) -> Tensor:
    """Of all of them together, ()."""
    return torch.stack([tensor.detach().norm() for tensor in tensors]).norm()
