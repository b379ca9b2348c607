"""What a run leaves on the disk at a save: state, adapters, plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...model.soft_tokens import SoftTokens
from ...step.strengths import recommended
from . import plot
from .adapter import Output, metadata, write_adapter
from .log import read_log
from .state import Checkpoint, Progress


@dataclass(frozen=True)
class Saving:
    """run: what a resumed run must share, and what the adapter's metadata tell. labels: what the
    user has model browsers show. keep: numbered adapters, one a multiple of `every` steps.
    averaged: adapters hold the tokens' moving average. All methods raise OSError, and leave the
    older files then."""

    output: Output
    run: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    keep: int = 0
    every: int = 1
    averaged: bool = False

    def all_of(self, good: Checkpoint, like: SoftTokens) -> None:
        """The state before the adapter, which can be made of it, not the other way round; the
        numbered one before the state, after which nobody would make it."""
        tokens, step = good.tokens(like, self.averaged), good.progress.step
        if self.keep and step % self.every == 0:
            self._write(self.output.numbered(step), tokens, good.progress)
        good.save(self.output.state, self.run)
        self.adapter(tokens, good.progress)
        if self.keep:
            for path in self.output.all_numbered()[: -self.keep]:
                path.unlink(missing_ok=True)
        plot.draw(read_log(self.output.log), self.output.plot, self.output.adapter.stem)

    def adapter(self, tokens: SoftTokens, progress: Progress) -> None:
        self._write(self.output.adapter, tokens, progress)

    def best(self, tokens: SoftTokens, progress: Progress) -> None:
        """The adapter of the lowest validation loss."""
        self._write(self.output.best, tokens, progress)

    def _write(self, path: Path, tokens: SoftTokens, progress: Progress) -> None:
        told = {
            **self.run,
            "skipped_steps": progress.skipped or None,
            "changes": "; ".join(progress.changes) or None,
            **_strengths(progress),
        }
        title = self.output.adapter.stem
        described = metadata(told, title, progress.started, progress.step, self.labels)
        try:
            write_adapter(path, tokens, described)
        except OSError as error:
            error.filename = str(path)  # the name a user knows
            raise


def _strengths(progress: Progress) -> dict[str, str]:
    """What the held-out pairs say of strengths, where they were asked."""
    best = recommended(progress.strengths)
    if best is None:
        return {}
    measured = ", ".join(f"{strength}: {loss:.6g}" for strength, loss in progress.strengths.items())
    return {"strength": best, "strength_as": "attention", "val_loss_by_strength": measured}
