"""The training loop: steps, validation, checkpoints, and stopping in good order."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from .batches import Batch, Batches
from .engine import Engine, Task, prepare
from .log import Log, Silence
from .output import Output, metadata, write_adapter
from .processes import Processes, zero_missing
from .soft_tokens import SoftTokens
from .state import Progress, save_state
from .validation import Validation, validate

EXPLODED = 10.0
"""A loss this many times the greatest before it stops the run ..."""
SETTLING = 20
"""... once this many steps have shown what is usual."""


class Interrupted(Exception):
    """The user stopped the run; its state has been saved."""


class Diverged(Exception):
    """The loss is no number or exploded; the last good adapter has been saved."""


@dataclass
class Loop:
    """One run. `run`: what a resumed one must share, and what the adapter's metadata tell.
    `labels`: what the user has model browsers show.

    text_of: caption -> its encoding. average: the moving average of the tokens, where the objective
    asks for one. validation: (range name, batch), none for no validation.
    """

    engine: Engine
    batches: Batches
    text_of: Callable[[str], Any]
    live: SoftTokens
    average: SoftTokens | None
    average_decay: float
    optimizer: torch.optim.Optimizer
    progress: Progress
    run: Mapping[str, Any]
    output: Output
    log: Log | Silence
    processes: Processes
    save_every: int
    labels: Mapping[str, str] = field(default_factory=dict)
    validation: list[tuple[str, Batch]] = field(default_factory=list)
    stop: bool = False

    def train(self, steps: int) -> None:
        """Goes on to step `steps`, then writes the adapter. Raises Interrupted and Diverged."""
        with self._signals():
            while self.progress.step < steps:
                began = time.monotonic()
                loss, accuracy, interrupted = self._step()
                last = self.progress.step == steps
                due = last or self.progress.step % self.save_every == 0
                entry = {
                    "step": self.progress.step,
                    "loss": loss,
                    "accuracy": accuracy,
                    "lr": self.optimizer.param_groups[0]["lr"],
                }
                if due and self.validation:
                    entry |= self._validate()
                # The log comes before the state: a kill in between only repeats a step.
                self.log.step(**entry, seconds=round(time.monotonic() - began, 4))
                if due or interrupted:
                    self.save()
                if interrupted and not last:
                    raise Interrupted
        if self.processes.first:
            self._write(self.output.adapter)

    def save(self) -> None:
        """The adapter so far, then the state that a resumed run starts from."""
        if self.processes.first:
            self._write(self.output.adapter)
            save_state(
                self.output.state, self.progress, self.run, self.live, self.average, self.optimizer
            )
        self.processes.wait()

    def task(self, batch: Batch) -> Task:
        """A batch's latents and texts, from the cache to the device."""
        latents = torch.stack([self.batches.cache.latent(image) for image in batch.images])
        texts = [self.text_of(caption) for caption in batch.captions]
        return prepare(self.engine.denoiser, batch, latents, texts)

    def _step(self) -> tuple[float, float, bool]:
        """One update of the tokens: (loss, accuracy, whether any process was told to stop)."""
        batch = self.batches[self.progress.step]
        self.optimizer.zero_grad(set_to_none=True)
        rows = self.processes.share(len(batch.images))
        outcome = self.engine.accumulate(self.task(batch), self.live, self.average, rows)
        parameters = list(self.live.tensors.values())
        zero_missing(parameters)
        stopped = outcome.loss.new_tensor(float(self.stop))
        sums = torch.stack((outcome.loss, outcome.hits, stopped))
        gradients = [parameter.grad for parameter in parameters]
        self.processes.sum(sums, *gradients)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        # The step's only look at the device.
        loss, hits, interrupted, norm_value = torch.cat((sums, norm[None])).tolist()
        self._check(loss, norm_value)
        self.optimizer.step()
        if self.average is not None:
            self.average.average(self.live, self.average_decay)
        self.progress.step += 1
        self.progress.greatest_loss = max(self.progress.greatest_loss, loss)
        return loss, hits / len(batch.images), interrupted > 0

    def _check(self, loss: float, norm: float) -> None:
        """Before the update, so that a bad step never reaches the tokens."""
        step, greatest = self.progress.step + 1, self.progress.greatest_loss
        if not math.isfinite(loss) or not math.isfinite(norm):
            reason = (
                "The loss is no longer a number"
                if math.isnan(loss)
                else ("Loss or gradient overflowed")
            )
        elif step > SETTLING and loss > EXPLODED * greatest:
            reason = f"The loss exploded to {loss:.3g}, the greatest before was {greatest:.3g}"
        else:
            return
        if self.processes.first:
            self._write(self.output.adapter)
        raise Diverged(
            f"{reason} at step {step}: the adapter holds the {self.progress.step} good steps; "
            "lower --learning-rate, or use --precision bf16 where the model runs in fp16."
        )

    def _validate(self) -> dict[str, Any]:
        found: Validation = validate(
            self.engine, self.validation, self.task, self.live, self.average, self.processes
        )
        if found.loss < self.progress.best_loss:
            self.progress.best_loss = found.loss
            if self.processes.first:
                self._write(self.output.best)
        return {
            "val_loss": found.loss,
            "val_accuracy": found.accuracy,
            "val_by_timestep": found.by_timestep,
        }

    def _write(self, path: Any) -> None:
        title = self.output.adapter.stem
        progress = self.progress
        described = metadata(self.run, title, progress.started, progress.step, self.labels)
        write_adapter(path, self.live, described)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step at hand; a second one ends it at once."""

        def ask(number: int, frame: Any) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True
            self.log.say("Stopping after this step; press Ctrl-C again to stop at once.")

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
