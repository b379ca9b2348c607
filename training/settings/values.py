"""Everything a run is told: the flags, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from .recipes import TEMPERATURES, Recipe

PRECISIONS: Mapping[str, torch.dtype | None] = {
    "auto": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""By the name that --precision takes; None: what ComfyUI chose for the model."""

_FREE_TO_CHANGE = {
    "steps",
    "micro_batch",
    "checkpointing",
    "save_every",
    "preview_every",
    "preview_prompts",
    "resume",
    "overwrite",
    "accept_changed_data",
    "cache",
    "comfyui",
    "cpu",
    "data",
    "output",
    "checkpoint",
    "model",
    "text_encoder",
    "vae",
    "base_directory",
    "extra_model_paths_config",
    "dry_run",
    "hard_words",
    "tensorboard",
    "title",
    "description",
    "author",
    "thumbnail",
}
"""What may differ when a run is resumed. The data and the model are compared by content instead."""


@dataclass(frozen=True)
class Settings:
    """One field a flag; see `python training/train.py --help`. None: the model family's default;
    for `micro_batch`, as many as fit."""

    checkpoint: str | None
    data: Path
    output: str
    model: str | None = None
    text_encoder: tuple[str, ...] = ()
    vae: str | None = None
    comfyui: Path | None = None
    base_directory: Path | None = None
    extra_model_paths_config: tuple[Path, ...] = ()
    cpu: bool = False
    cache: Path | None = None
    resolution: int | None = None
    buckets: bool = False
    val_fraction: float = 0.0
    objective: str = "softrepa"
    temperature: float | None = None
    normalise: bool = False
    own_weight: float | None = None
    gamma_positive: float | None = None
    gamma_negative: float | None = None
    average_decay: float = 0.9999
    hard_share: float = 0.0
    hard_words: Path | None = None
    tokens: int | None = None
    layers: str | None = None
    per_block: bool = False
    placement: str | None = None
    time_offsets: bool | None = None
    start: str | None = None
    train_weight: float = 1.0
    steps: int = 30_000
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    seed: int = 0
    micro_batch: int | None = None
    checkpointing: bool = False
    precision: str = "auto"
    title: str = ""
    description: str = ""
    author: str = ""
    thumbnail: Path | None = None
    save_every: int = 100
    preview_every: int = 0
    preview_prompts: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False
    accept_changed_data: bool = False
    tensorboard: bool = True
    dry_run: bool = False

    def filled(self, recipe: Recipe) -> Settings:
        """These settings with the family's defaults for what was left open."""
        defaults: dict[str, Any] = {
            "resolution": recipe.resolution,
            "temperature": TEMPERATURES[self.objective, self.normalise],
            "own_weight": recipe.own_weight,
            "gamma_positive": recipe.gamma_positive,
            "gamma_negative": recipe.gamma_negative,
            "tokens": recipe.tokens,
            "layers": recipe.layers,
            "time_offsets": recipe.time_offsets,
            "start": recipe.start,
            "micro_batch": min(self.batch_size, 4),
        }
        open_ones = {key: value for key, value in defaults.items() if getattr(self, key) is None}
        return replace(self, **open_ones)

    def decisive(self) -> dict[str, Any]:
        """What a resumed run must share with the one it continues, as JSON has it."""
        named = {key: value for key, value in asdict(self).items() if key not in _FREE_TO_CHANGE}
        return {key: str(v) if isinstance(v, Path) else v for key, v in named.items()}


def flag(name: str) -> str:
    """The flag of a field: micro_batch -> --micro-batch."""
    return f"--{name.replace('_', '-')}"


FIELDS = tuple(field.name for field in fields(Settings))
