"""The training loop: steps, validation, checkpoints, and stopping in good order.

Whether an update was good shows only in the next forward pass. So what is saved of step N is saved
in step N + 1, once its loss is known and before its update; the last step has a forward pass of its
own for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from ..step import memory
from ..step.batches import Batch, Batches
from ..step.strengths import losses, recommended
from ..step.validation import Validation
from . import guard
from .guard import Diverged
from .measuring import Loaded, Measuring, RanOut
from .output.log import Log, Silence
from .output.saving import Saving
from .output.state import Checkpoint, Progress
from .previews import Previews


class Interrupted(Exception):
    """The user stopped the run; its state has been saved."""


@dataclass
class Loop:
    """One run.

    rate: the learning rate of the update after so many steps. accumulate: batches an update.
    patience: validations without a lower loss, after which the run ends; None for no such end.
    validation: (range name, batch), none for no validation. previews: painted every so many steps
    and at the end.
    """

    measuring: Measuring
    batches: Batches
    average_decay: float
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    progress: Progress
    saving: Saving
    log: Log | Silence
    save_every: int
    remedies: memory.Remedies
    accumulate: int = 1
    patience: int | None = None
    validation: list[tuple[str, Batch]] = field(default_factory=list)
    previews: Previews | None = None
    preview_every: int = 0

    def __post_init__(self) -> None:
        self._good: Checkpoint | None = None
        self._saved = self.progress.step
        self._due = False
        self._bad = 0
        self._before: dict[str, Any] | None = None
        # One thread draws and reads every batch, the next one while this step is computed.
        self._reader = ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[list[Loaded]]] | None = None

    def train(self, steps: int) -> None:
        """Goes on to step `steps`, then writes the adapter.

        Raises Interrupted, Diverged and OutOfMemory; what was good before is saved then.
        """
        try:
            with self.measuring.stop.signals(self.log.say):
                self._train(steps)
        except RanOut:
            self.save()
            raise self._out_of_memory() from None
        except Diverged:
            self.save()
            raise
        except self.measuring.stop.exceptions as error:
            self.save()
            raise Interrupted from error
        finally:
            self._reader.shutdown(wait=True, cancel_futures=True)

    def _train(self, steps: int) -> None:
        if self.progress.step == 0 and self.validation:
            self._before = _told(self.measuring.validation(self.validation))
        while not self.progress.ended(steps, self.patience):
            began = time.monotonic()
            entry, interrupted = self._step()
            due = self.progress.step == steps or self.progress.step % self.save_every == 0
            self._due |= due
            if self.progress.step == 1 and self.measuring.processes.first:
                # Only now: a new run that cannot even begin destroys nothing.
                self.saving.output.clear()
            self.progress.strengths = {}
            if self._before is not None:
                entry["before"], self._before = self._before, None
            if due and self.validation:
                entry |= self._validate()
                if self.progress.ended(steps, self.patience):
                    self._recommend()
            # The log comes before the state: a kill in between only repeats a step.
            self.log.step(**entry, seconds=round(time.monotonic() - began, 4))
            ended = self.progress.ended(steps, self.patience)
            if self.previews and not interrupted and (ended or self._previews_due()):
                measuring = self.measuring
                self.previews.paint(measuring.engine.denoiser, measuring.judged, self.progress.step)
            if interrupted and not ended:
                self._prove()
                self.save()
                raise Interrupted
        if self.progress.step < steps:
            self.log.say(self._early())
        if self._saved >= self.progress.step:  # finished: its adapter is lost, or has other labels
            if self.measuring.processes.first:
                self.saving.adapter(self.measuring.judged, self.progress)
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
        if self.measuring.processes.first:
            self.saving.all_of(good, self.measuring.live)
        self._saved, self._due = good.progress.step, False

    def _step(self) -> tuple[dict[str, Any], bool]:
        """One update of the tokens: (log entry, whether any process was told to stop)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.progress.step)
        found = self.measuring.gradients(self._batches(self.progress.step))
        entry = {
            "step": self.progress.step + 1,
            "loss": found.loss,
            "accuracy": found.accuracy,
            "lr": self.optimizer.param_groups[0]["lr"],
            "grad_norm": found.gradient,
            "token_norm": found.tokens,
        }
        if reason := guard.fault_of_tokens(found, self.progress):
            raise self._diverged(reason)
        if reason := guard.fault_of_step(found, self.progress):
            self._skip(reason)
            return {**entry, "skipped": True}, found.stopped
        self._keep()
        guard.learn(found, self.progress)
        self._bad = 0
        self.optimizer.step()
        if self.measuring.average is not None:
            self.measuring.average.average(self.measuring.live, self.average_decay)
        self.progress.step += 1
        return entry, found.stopped

    def _batches(self, step: int) -> list[Loaded]:
        """The batches of an update; those of the next are read in the meantime."""
        ahead = self._ahead if self._ahead and self._ahead[0] == step else None
        found = (ahead[1] if ahead else self._reader.submit(self._read, step)).result()
        self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        return found

    def _read(self, step: int) -> list[Loaded]:
        first = step * self.accumulate
        drawn = (self.batches[at] for at in range(first, first + self.accumulate))
        return [self.measuring.load(batch) for batch in drawn]

    def _early(self) -> str:
        best = self.saving.output.best.name
        return (
            f"Stopped at step {self.progress.step}: {self.progress.stale} validations in a row "
            f"without a lower loss; {best} is the best. A higher --patience goes on with --resume."
        )

    def _keep(self) -> None:
        """This step's forward pass shows that the tokens as they are now are good."""
        tokens, average = self.measuring.live, self.measuring.average
        self._good = Checkpoint.taken(self.progress, tokens, average, self.optimizer)
        if self._due:
            self.save()

    def _prove(self) -> bool:
        """Tries the tokens on the batches to come, until one shows that they are good."""
        for step in range(self.progress.step, self.progress.step + guard.MOST_BAD):
            found = self.measuring.loss(self._batches(step))
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
        micro_batch = self.measuring.engine.micro_batch
        return memory.OutOfMemory(
            f"Memory ran out at step {self.progress.step + 1} with --micro-batch {micro_batch}: "
            f"{self.remedies.advice(micro_batch, self._kept)}."
        )

    def _validate(self) -> dict[str, Any]:
        """Validates, keeps the best adapter, and counts how often it was not bettered."""
        found = self.measuring.validation(self.validation)
        self.progress.stale += 1
        if found.loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.stale = found.loss, 0
            if self.measuring.processes.first:
                self.saving.best(self.measuring.judged, self.progress)
        return _told(found)

    def _recommend(self) -> None:
        """Of the last adapter alone: a longer run leaves no trace of it."""
        validation, batches = self.measuring.validation, self.validation
        self.progress.strengths = losses(lambda weight: validation(batches, weight).loss)
        if best := recommended(self.progress.strengths):
            self.log.say(f"Held-out pairs are told apart best at strength {best}.")


def _told(found: Validation) -> dict[str, Any]:
    return {
        "val_loss": found.loss,
        "val_accuracy": found.accuracy,
        "val_by_timestep": found.by_timestep,
    }
