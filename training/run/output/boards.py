"""Boards that show a run while it goes on: TensorBoard and Weights & Biases, where installed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Board(Protocol):
    """Takes a step's numbers by name."""

    def add(self, numbers: Mapping[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


def tensorboard(folder: Path, step: int) -> Board | None:
    """TensorBoard's files in a folder; what they hold beyond the step gone on from is passed over.
    None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return _TensorBoard(SummaryWriter(str(folder), purge_step=step + 1))


class _WandB:
    def __init__(self, run: Any) -> None:
        self._run = run

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


def wandb(name: str, started: str, settings: Mapping[str, Any]) -> Board:
    """A run of the project softrepa, gone on with where the trainer goes on with it.

    Where it is sent, and whether at all, is for Weights & Biases' own settings (WANDB_MODE).
    """
    import wandb

    known = hashlib.sha256(f"{name} {started}".encode()).hexdigest()[:16]
    run = wandb.init(project="softrepa", name=name, id=known, resume="allow", config=dict(settings))
    return _WandB(run)
