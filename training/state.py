"""A training checkpoint: everything a run needs to go on as if it had never stopped.

Random draws follow from seed and step (see `randomness`), and so does the position in the data:
the step is all that must be kept of either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import BadInput
from .files import write_whole
from .settings import flag
from .soft_tokens import SoftTokens

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class Progress:
    """Where a run stands.

    step: steps done. started: date of the first step, ISO 8601. best_loss: lowest validation loss
    so far. greatest_loss: highest training loss so far, the yardstick for an exploding one.
    """

    step: int = 0
    started: str = ""
    best_loss: float = float("inf")
    greatest_loss: float = 0.0


def save_state(
    path: Path,
    progress: Progress,
    run: Mapping[str, Any],
    live: SoftTokens,
    average: SoftTokens | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Writes the state, whole or not at all. Raises OSError.

    run: what a resumed run must share.
    """
    tensors = {f"live.{name}": tensor.detach() for name, tensor in live.tensors.items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.tensors.items()}
    for name, parameter in live.tensors.items():
        for key in _MOMENTS:
            if key in optimizer.state[parameter]:
                tensors[f"optimizer.{key}.{name}"] = optimizer.state[parameter][key]
    # One entry, because safetensors writes several in no certain order, and equal runs shall give
    # equal bytes.
    described = {"training": json.dumps({"progress": vars(progress), "run": run}, sort_keys=True)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(whole, described))


def read_run(path: Path) -> tuple[Progress, dict[str, Any]]:
    """How far a saved run came, and what it was told. Raises BadInput."""
    try:
        with safe_open(path, framework="pt") as file:
            training = json.loads(file.metadata()["training"])
        return Progress(**training["progress"]), training["run"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path.name} is not a training state ({error}): delete it and start again."
        ) from None


def check_same_run(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises BadInput that names the first setting in which two runs differ."""
    for name in sorted({*saved, *wanted}):
        if saved.get(name) != wanted.get(name):
            raise BadInput(
                f"{path.name} belongs to a run with {flag(name)} {saved.get(name)}, not "
                f"{wanted.get(name)}: resume with the same settings, or start anew with "
                "--overwrite."
            )


def load_tensors(
    path: Path,
    progress: Progress,
    live: SoftTokens,
    average: SoftTokens | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Puts the saved tokens, moving average and optimizer moments in place."""
    with safe_open(path, framework="pt") as file:
        saved: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}
    live.load({name: saved[f"live.{name}"] for name in live.tensors})
    if average is not None:
        average.load({name: saved[f"average.{name}"] for name in average.tensors})
    for name, parameter in live.tensors.items():
        if f"optimizer.exp_avg.{name}" in saved:
            moments = {
                key: saved[f"optimizer.{key}.{name}"].to(parameter.device) for key in _MOMENTS
            }
            step = torch.tensor(float(progress.step))
            optimizer.state[parameter] = {"step": step, **moments}
