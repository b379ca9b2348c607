"""Everything a run is told: the flags, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from ..data.captions.variants import Variants
from ..objectives import OBJECTIVES, defaults, hyperparameters
from .families import FAMILIES
from .recipes import normalises

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
    "keep",
    "patience",
    "wandb",
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
    for `micro_batch`, as many as fit.

    hyperparameters: the objective's, by name. recipe: its name, and what was given besides that
    differs from it.
    """

    checkpoint: str | None
    data: tuple[Path | str, ...]
    output: str
    model: str | None = None
    text_encoder: tuple[str, ...] = ()
    vae: str | None = None
    comfyui: Path | None = None
    base_directory: Path | None = None
    extra_model_paths_config: tuple[Path, ...] = ()
    cpu: bool = False
    cache: Path | None = None
    cache_texts: str = "all"
    text_bits: int = 16
    resolution: int | None = None
    buckets: bool = False
    data_weight: tuple[float, ...] = ()
    caption_dropout: float = 0.0
    caption_shuffle: bool = False
    shuffle_orders: int = 4
    keep_tags: int = 0
    latents: str = "mode"
    timesteps: str = "schedule"
    val_fraction: float = 0.0
    recipe: str | None = None
    objective: str = "softrepa"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    average_decay: float = 0.9999
    save_average: bool = False
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
    negatives: int | None = None
    replay: int | None = None
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    cycle_steps: int = 5000
    min_learning_rate: float = 0.0
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
    keep: int = 0
    patience: int | None = None
    resume: bool = False
    overwrite: bool = False
    accept_changed_data: bool = False
    tensorboard: bool = True
    wandb: bool = False
    dry_run: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """From flags by name, as the command line has them; None for those not given.

        Hyper-parameters of other objectives than the chosen one are passed over.
        """
        known = hyperparameters(OBJECTIVES[given.get("objective", cls.objective)])
        chosen = {name: given[name] for name in known if given.get(name) is not None}
        own = {name: value for name, value in given.items() if name in FIELDS}
        return cls(**own, hyperparameters=chosen)

    def completed(self, family: str) -> Settings:
        """These settings with a family's defaults (a row of `FAMILIES`) for what was left open."""
        given = self.hyperparameters
        normalise = given.get("normalise", normalises(self.recipe, self.objective, family))
        chosen = defaults(OBJECTIVES[self.objective], family, normalise)
        open_ones = {**asdict(FAMILIES[family]), "micro_batch": min(self.batch_size, 4)}
        open_ones = {key: value for key, value in open_ones.items() if getattr(self, key) is None}
        return replace(self, **open_ones, hyperparameters={**chosen, **given})

    @property
    def row(self) -> int:
        """Predictions that one image takes: under its own caption and its negatives; or that it and
        a worse one take."""
        if compares(self.objective) == "pictures":
            return 2
        most = self.batch_size - 1
        return 1 + (most if self.negatives is None else self.negatives)

    @property
    def hard_captions(self) -> int:
        """Hard captions that a row can use; each takes as much room in the cache as a caption."""
        if self.hard_share == 0.0:
            return 0
        sought = max(self.batch_size - 1, self.negatives or 0)
        beyond = max(0, sought - (self.batch_size - 1))
        return max(1, round(self.hard_share * sought), beyond)

    @property
    def variants(self) -> Variants:
        """What becomes of captions when they are drawn."""
        orders = self.shuffle_orders if self.caption_shuffle else 1
        return Variants(self.caption_dropout, orders, self.keep_tags, self.seed)

    def decisive(self) -> dict[str, Any]:
        """What a resumed run must share with the one it continues, as JSON has it."""
        named = {key: value for key, value in asdict(self).items() if key not in _FREE_TO_CHANGE}
        named |= named.pop("hyperparameters")
        return {key: _as_json(value) for key, value in named.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def compares(objective: str) -> str:
    """What an objective compares by its name: captions or pictures."""
    return OBJECTIVES[objective].COMPARES


def flag(name: str) -> str:
    """The flag of a field: micro_batch -> --micro-batch."""
    return f"--{name.replace('_', '-')}"


FIELDS = tuple(field.name for field in fields(Settings))
DEFAULTS = Settings(None, (), "").decisive()
"""What a run was told where nothing was given."""
