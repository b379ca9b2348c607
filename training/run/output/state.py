"""A training checkpoint: everything a run needs to go on as if it had never stopped.

Random draws follow from seed and step (see `randomness`), and so does the position in the data:
the step is all that must be kept of either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ...errors import BadInput
from ...model.soft_tokens import SoftTokens
from ...objectives import OBJECTIVES, hyperparameters
from ...settings.values import DEFAULTS, flag
from .files import write_whole

_MOMENTS = ("exp_avg", "exp_avg_sq")


_DATA = ("pairs", "dataset")
_CHANGEABLE = (
    "learning_rate",
    "schedule",
    "warmup_steps",
    "cycle_steps",
    "min_learning_rate",
    "precision",
)
"""What users are told to change when a run goes wrong; the state and the adapter tell of it."""


@dataclass
class Progress:
    """Where a run stands.

    step: steps done, of which `skipped` changed nothing because they overflowed. started: date of
    the first step, ISO 8601. best_loss: lowest validation loss so far. greatest_loss, _gradient and
    _tokens: highest training loss, gradient norm and token norm so far; first_tokens: the token
    norm of the first step; the yardsticks for what explodes, 0 where unknown (see `guard`).
    stale: validations since the lowest loss. changes: what was changed on resuming, in words.
    strengths: held-out loss by strength, once the last step is done.
    """

    step: int = 0
    started: str = ""
    best_loss: float = float("inf")
    greatest_loss: float = 0.0
    greatest_gradient: float = 0.0
    greatest_tokens: float = 0.0
    first_tokens: float = 0.0
    skipped: int = 0
    stale: int = 0
    changes: tuple[str, ...] = ()
    strengths: dict[str, float] = field(default_factory=dict)

    def ended(self, steps: int, patience: int | None) -> bool:
        """Whether a run of so many steps is at its end, by its steps or by its patience."""
        return self.step >= steps or (patience is not None and self.stale >= patience)

    def copy(self) -> Progress:
        """A value of its own, for a step that comes later."""
        return replace(self)


@dataclass(frozen=True)
class Checkpoint:
    """A run as it stood after some step; copies, which later steps do not touch.

    tensors: `live.*` and, where there is one, `average.*` by the tokens' names, and the optimizer's
    moments as `optimizer.exp_avg.*` and `optimizer.exp_avg_sq.*`.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]

    @classmethod
    def taken(
        cls,
        progress: Progress,
        live: SoftTokens,
        average: SoftTokens | None,
        optimizer: torch.optim.Optimizer,
    ) -> Checkpoint:
        """Of this moment, without a look at the device."""
        tensors = {f"live.{name}": tensor for name, tensor in live.tensors.items()}
        if average is not None:
            tensors |= {f"average.{name}": tensor for name, tensor in average.tensors.items()}
        for name, parameter in live.tensors.items():
            for key in _MOMENTS:
                if key in optimizer.state[parameter]:
                    tensors[f"optimizer.{key}.{name}"] = optimizer.state[parameter][key]
        copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        return cls(progress.copy(), copies)

    def tokens(self, like: SoftTokens, averaged: bool = False) -> SoftTokens:
        """The tokens in training at that step, or their moving average."""
        which = "average" if averaged else "live"
        parts = (self.tensors[f"{which}.tokens"], self.tensors.get(f"{which}.offsets"))
        return SoftTokens(replace(like.adapter, tokens=parts[0], offsets=parts[1]))

    def save(self, path: Path, run: Mapping[str, Any]) -> None:
        """Writes the state, whole or not at all. Raises OSError.

        run: what a resumed run must share.
        """
        # One entry, because safetensors writes several in no certain order, and equal runs shall
        # give equal bytes.
        told = {"progress": vars(self.progress), "run": run}
        described = {"training": json.dumps(told, sort_keys=True)}
        whole = {name: tensor.cpu().contiguous() for name, tensor in self.tensors.items()}
        write_whole(path, save(whole, described))


def read_run(path: Path) -> tuple[Progress, dict[str, Any]]:
    """How far a saved run came, and what it was told. Raises BadInput."""
    try:
        with safe_open(path, framework="pt") as file:
            training = json.loads(file.metadata()["training"])
        progress = Progress(**training["progress"])
        progress.changes = tuple(progress.changes)
        return progress, _as_now(training["run"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path.name} is not a training state ({error}): delete it and start again."
        ) from None


def _as_now(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was told, as this version tells it: settings that are new since stood at their
    defaults, and hyper-parameters of other objectives are told no more."""
    foreign = {name for one in OBJECTIVES.values() for name in hyperparameters(one)}
    foreign -= set(hyperparameters(OBJECTIVES[run["objective"]]))
    kept = {name: value for name, value in run.items() if name not in foreign}
    return {**DEFAULTS, **kept}


def differing(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The names of the settings in which two runs differ, those that others follow from first."""
    names = sorted({*saved, *wanted}, key=lambda name: (name not in ("objective", "recipe"), name))
    return [name for name in names if saved.get(name) != wanted.get(name)]


def told(name: str, value: Any) -> str:
    """A setting as the user gave it, in words."""
    if name in ("base_model", "base_model_sha256"):
        return f"--checkpoint {value[:12] if name.endswith('sha256') and value else value}"
    return "other data" if name in _DATA else f"{flag(name)} {value}"


def check_same_run(
    path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any], other_data: bool = False
) -> None:
    """Raises BadInput that names the first setting in which two runs differ for good.

    other_data: the user accepts that pictures or captions have changed.
    """
    for name in differing(saved, wanted):
        if name not in (*_CHANGEABLE, *_DATA):
            raise BadInput(
                f"{path.name} belongs to a run with {told(name, saved.get(name))}, not "
                f"{wanted.get(name)}: resume with the same settings, start anew with --overwrite, "
                "or name another --output."
            )
    if not other_data and (change := _data_change(saved, wanted)):
        raise BadInput(
            f"The data of {path.stem} is no longer the same ({change}): go on with the new set by "
            "--accept-changed-data, restore the old one, or start anew with --overwrite."
        )


def changes(saved: Mapping[str, Any], wanted: Mapping[str, Any], step: int) -> tuple[str, ...]:
    """What differs between a run so far and from this step on, in words."""
    found = [
        f"{name} {saved.get(name)} to {wanted[name]}"
        for name in _CHANGEABLE
        if saved.get(name) != wanted[name]
    ]
    if change := _data_change(saved, wanted):
        found.append(f"data: {change}, dataset {saved.get('dataset')} to {wanted.get('dataset')}")
    return tuple(f"after step {step}: {one}" for one in found)


def same_data(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two runs see the same pictures and captions."""
    return not _data_change(saved, wanted)


def _data_change(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """How the pairs differ, in words; empty where they do not."""
    before, now = saved.get("pairs"), wanted.get("pairs")
    if before != now:
        return f"{before} pairs before, {now} now"
    if saved.get("dataset") != wanted.get("dataset"):
        return f"{now} pairs as before, but with other pictures or captions"
    return ""


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
            step = torch.tensor(float(progress.step - progress.skipped))
            optimizer.state[parameter] = {"step": step, **moments}
