"""Scores a trial: what has no score that still holds, batch by batch, and kept at once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ..trial import Cell, Prompt, Score, Trial
from .pictures import decode
from .scorer import Scorer, ScorerError

if TYPE_CHECKING:
    from .scorer import Picture


@dataclass(frozen=True)
class Scored:
    """What a run did.

    missing: pictures that are not there to be scored. passed: those of prompts without expected
    objects, where the scorer needs them.
    """

    new: int
    kept: int
    missing: int
    passed: int = 0


Step = Callable[[int, int], None]
"""Told after each batch how many pictures are done, of how many; it may raise to stop."""


def score_trial(
    trial: Trial, scorer: Scorer, step: Step | None = None, batch: int | None = None
) -> Scored:
    """Adds the scores that a trial lacks and returns how many.

    A score holds where its picture's file and the scorer's weights have the same hashes. Each
    batch is on the disk before the next begins, so that whatever ends this loses one batch, and
    the next run goes on behind the last record. Pictures of one batch are in memory at a time.
    Raises ScorerError, OSError, and what `step` raises.
    """
    todo = _Todo(trial, scorer, step)
    cells = iter(todo)
    while found := list(islice(cells, batch or scorer.batch)):
        prompts = [prompt for _, prompt, _, _ in found]
        pictures = [_decoded(trial, cell, png) for cell, _, png, _ in found]
        values = scorer.score(pictures, [prompt.text for prompt in prompts], prompts)
        for (cell, _, _, _), value in zip(found, values, strict=True):
            if not math.isfinite(value):
                raise ScorerError(
                    f"{scorer.name} has no number for {trial.path(cell)}: its weights are damaged, "
                    "or too large for their precision."
                )
        trial.add_scores(
            Score(c.arm, c.prompt, c.seed, scorer.name, value, picture, scorer.weights_sha256)
            for (c, _, _, picture), value in zip(found, values, strict=True)
        )
        todo.new += len(found)
        todo.tell()
    return Scored(todo.new, todo.kept, todo.missing, todo.passed)


def _decoded(trial: Trial, cell: Cell, png: bytes) -> Picture:
    try:
        return decode(png)
    except ScorerError as error:
        raise ScorerError(
            f"{trial.path(cell)}: {error} Delete it and paint the trial again: only what is "
            "missing will be painted."
        ) from None


_TOLD = 32
"""Pictures that need no score and are passed over before it is told how far it is."""


class _Todo:
    """The pictures to score, read one after the other, and counts of the others."""

    def __init__(self, trial: Trial, scorer: Scorer, step: Step | None) -> None:
        self._trial, self._step = trial, step
        self._total = sum(1 for _ in trial.cells())
        self._prompts = {prompt.id: prompt for prompt in trial.manifest.prompts}
        self._held = {
            (s.arm, s.prompt, s.seed): s.picture
            for s in trial.scores()
            if s.scorer == scorer.name and s.weights == scorer.weights_sha256
        }
        self._needs_expected = scorer.needs_expected
        self.new = self.kept = self.missing = self.passed = 0

    def __iter__(self) -> Iterator[tuple[Cell, Prompt, bytes, str]]:
        for cell in self._trial.cells():
            if self._needs_expected and not self._prompts[cell.prompt].expected:
                self.passed += 1
            elif not self._trial.has(cell):
                self.missing += 1
            else:
                png = self._trial.read(cell)
                picture = hashlib.sha256(png).hexdigest()
                if self._held.get((cell.arm, cell.prompt, cell.seed)) != picture:
                    yield cell, self._prompts[cell.prompt], png, picture
                    continue
                self.kept += 1
            if (self.kept + self.missing + self.passed) % _TOLD == 0:
                self.tell()
        self.tell()

    def tell(self) -> None:
        """Says how far it is; here whoever scores may be interrupted."""
        if self._step:
            self._step(self.new + self.kept + self.missing + self.passed, self._total)
