"""One step's numbers over all processes, in the memory there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..model.graph.main_memory import MAIN_MEMORY
from ..model.graph.options import with_inputs_in
from ..model.soft_tokens import SoftTokens
from ..step import memory
from ..step.batches import Batch
from ..step.engine import Engine, Outcome, Task, prepare
from ..step.processes import Processes, zero_missing
from ..step.validation import Validation, validate
from .stopping import Stopping

Work = Callable[["Loaded", range], Outcome]
"""A batch's loss and hits over some of its rows."""


@dataclass(frozen=True)
class Loaded:
    """A batch with its latents, (B, C, h, w), and encoded captions, read from the cache; the worse
    pictures' latents, where it has any, behind the others."""

    batch: Batch
    latents: Tensor
    texts: Sequence[Any]


class RanOut(Exception):
    """Memory ran out in some process, and no smaller micro-batch is left to try."""


@dataclass(frozen=True)
class Measured:
    """One step over all processes. accuracy: share of own captions found. gradient, tokens: their
    norms, before the update. stopped: some process was told to stop."""

    loss: float
    accuracy: float
    gradient: float
    tokens: float
    stopped: bool = False


@dataclass
class Measuring:
    """text_of: caption -> its encoding, or None where `draw` is to make it, for many captions at
    once. average: the moving average of the tokens, where there is
    one. judged: the tokens that are validated, one of the two. halve: the micro-batch may be halved
    where memory runs out. All methods raise RanOut."""

    engine: Engine
    latent_of: Callable[[int], Tensor]
    text_of: Callable[[str], Any]
    live: SoftTokens
    average: SoftTokens | None
    judged: SoftTokens
    processes: Processes
    stop: Stopping
    halve: bool
    say: Callable[[str], None]
    draw: Callable[[Sequence[str]], Sequence[Any]] | None = None

    def load(self, batch: Batch) -> Loaded:
        """A batch's latents and texts, as far as the cache has them. May be called in another
        thread."""
        images = (*batch.images, *batch.worse)
        latents = torch.stack([self.latent_of(image) for image in images])
        return Loaded(batch, latents, [self.text_of(caption) for caption in batch.captions])

    def _task(self, loaded: Loaded) -> Task:
        texts, batch = list(loaded.texts), loaded.batch
        lacking = [at for at, text in enumerate(texts) if text is None]
        if lacking:
            drawn = self.draw([batch.captions[at] for at in lacking])
            for at, text in zip(lacking, drawn, strict=True):
                texts[at] = text
        return prepare(self.engine.denoiser, batch, loaded.latents, texts)

    def gradients(self, batches: Sequence[Loaded]) -> Measured:
        """The mean loss of the batches, its gradient left in the live tokens' .grad."""

        def work(loaded: Loaded, rows: range) -> Outcome:
            return self.engine.accumulate(self._task(loaded), self.live, self.average, rows)

        return self._measure(batches, work)

    def loss(self, batches: Sequence[Loaded]) -> Measured:
        """The same without gradients."""

        def work(loaded: Loaded, rows: range) -> Outcome:
            return self.engine.evaluate(self._task(loaded), self.live, self.average, rows)

        return self._measure(batches, work)

    def validation(
        self, batches: list[tuple[str, Batch]], weight: float | None = None
    ) -> Validation:
        """batches: see `validation_batches`. weight: what the tokens count in attention, where that
        is not as in training."""

        def evaluate(batch: Batch, rows: range) -> Outcome:
            task = self._task(self.load(batch))
            outcome = self._afford(
                lambda: self.engine.evaluate(task, self.judged, self.average, rows, weight)
            )
            if outcome is None:
                raise RanOut
            return outcome

        return validate(evaluate, batches, self.processes)

    def _measure(self, batches: Sequence[Loaded], work: Work) -> Measured:
        nothing = torch.zeros((), device=self.engine.denoiser.device)

        def all_of() -> Outcome:
            loss = hits = nothing
            for one_batch in batches:
                rows = self.processes.share(len(one_batch.batch.images))
                one = work(one_batch, rows)
                loss, hits = loss + one.loss, hits + one.hits
            return Outcome(loss, hits)

        outcome = self._afford(all_of)
        loss, hits = (nothing, nothing) if outcome is None else (outcome.loss, outcome.hits)
        parameters = list(self.live.tensors.values())
        zero_missing(parameters)
        flags = loss.new_tensor([float(self.stop.asked), float(outcome is None)])
        sums = torch.cat((torch.stack((loss, hits)), flags))
        gradients = [parameter.grad for parameter in parameters]
        self.processes.sum(sums, *gradients)
        if len(batches) > 1:
            for gradient in gradients:
                gradient.div_(len(batches))
        norms = torch.stack((_norm(gradients), _norm(parameters)))
        # The step's only look at the device.
        loss, hits, stopped, failed, gradient, tokens = torch.cat((sums, norms)).tolist()
        if failed:
            raise RanOut
        images = sum(len(loaded.batch.images) for loaded in batches)
        return Measured(loss / len(batches), hits / images, gradient, tokens, stopped > 0)

    def _afford(self, work: Callable[[], Outcome]) -> Outcome | None:
        """What `work` gives; where memory runs out with half the micro-batch, unless that is the
        user's own, at last with blocks' inputs in the main memory; None where it still does."""
        while True:
            for tensor in self.live.tensors.values():
                tensor.grad = None
            try:
                return work()
            except Exception as error:
                if not memory.ran_out(error):
                    raise
            # Only here: the exception holds on to all that the step had made.
            memory.free()
            if not self._less():
                return None

    def _less(self) -> bool:
        """Whether there was a way to take less memory; the next try goes it."""
        engine = self.engine
        if self.halve and engine.micro_batch > 1:
            engine.micro_batch //= 2
            self.say(f"Memory ran out: going on with --micro-batch {engine.micro_batch}.")
            return True
        on_cpu = engine.denoiser.device.type == "cpu"
        options = None if on_cpu else with_inputs_in(engine.base_options, MAIN_MEMORY)
        if options is None:
            return False
        engine.base_options = options
        self.say("Memory ran out: going on with blocks' inputs in the main memory.")
        return True


def _norm(tensors: list[Tensor]) -> Tensor:
    """Of all of them together, ()."""
    return torch.stack([tensor.detach().norm() for tensor in tensors]).norm()
