"""A trial's manifest from what ComfyUI holds: models, the graph they come from, versions."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from ....softrepa.hashing import remembered_hash
from ... import trial
from ...trial import Manifest, Model, Prompt, Sampling
from ...trial.checks import safe_folder
from ..arms import Arm
from . import graph as graphs

_BASES = ("checkpoint", "model")


def describe(
    name: str,
    arms: Sequence[Arm],
    made: Mapping[str, graphs.Made],
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    sampling: Sampling,
) -> Manifest:
    """The manifest of a trial that is painted now. made: by the arms' names."""
    return Manifest(
        name=name,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        host=host(),
        arms=tuple(_arm(arm, made[arm.name]) for arm in arms),
        prompts=tuple(prompts),
        seeds=tuple(seeds),
        sampling=sampling,
    )


def host() -> dict[str, str]:
    """Versions that pictures depend on."""
    import comfyui_version

    return {"comfyui": comfyui_version.__version__, "torch": torch.__version__}


def _arm(arm: Arm, made: graphs.Made) -> trial.Arm:
    models = made.models
    if not any(model.kind in _BASES for model in models):
        models = (*loaded_from(arm.model), *models)
    details = {"settings": made.settings, "precision": str(arm.model.model_dtype())}
    unknown = " ".join(_unknown(arm, models))
    if unknown:
        details["unknown"] = unknown
    return trial.Arm(arm.name, models, details)


def loaded_from(model: Any) -> tuple[Model, ...]:
    """The file a model says it was loaded from, as newer versions of ComfyUI have it."""
    _, arguments, *_ = getattr(model, "cached_patcher_init", None) or (None, ())
    named = [v for v in arguments if isinstance(v, str) and v.lower().endswith(graphs.WEIGHTS)]
    files = [Path(value) for value in named if os.path.isfile(value)]
    return tuple(Model("checkpoint", path.name, remembered_hash(path)) for path in files[:1])


def _unknown(arm: Arm, models: Sequence[Model]) -> list[str]:
    """Sentences on what shapes the arm's pictures and comes from no known file."""
    kinds = [model.kind for model in models]
    told = []
    if not any(kind in _BASES for kind in kinds):
        told.append("The file of its model is not known.")
    if arm.model.patches and "lora" not in kinds:
        told.append(
            f"{len(arm.model.patches)} of its weights are patched from a file that is not known."
        )
    applied = arm.model.model_options["transformer_options"].get("patches", {}).get("softrepa", [])
    if len(applied) > kinds.count("adapter"):
        hashes = ", ".join(content_of(application.adapter) for application in applied)
        told.append(f"Its adapters come from files that are not all known; tokens: {hashes}.")
    return told


def content_of(adapter: Any) -> str:
    """The start of a hash of what an adapter in memory adds."""
    digest = hashlib.sha256()
    for tensor in (adapter.tokens, adapter.offsets):
        if tensor is not None:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def arm_names(given: str, made: Sequence[graphs.Made]) -> list[str]:
    """A name for each arm: the lines given, and after what is on its model where there is none."""
    lines = [line.strip() for line in given.splitlines() if line.strip()][: len(made)]
    names = list(lines)
    for one in made[len(lines) :]:
        name, at = _called(one), 2
        while name.casefold() in {taken.casefold() for taken in names}:
            name, at = f"{_called(one)} {at}", at + 1
        names.append(name)
    return names


def _called(made: graphs.Made) -> str:
    added = [model for model in made.models if model.kind in ("adapter", "lora")]
    told = " + ".join(_short(model) for model in added)[:70].rstrip(" .")
    return told if safe_folder(told) else "bare" if not added else "changed"


def _short(model: Model) -> str:
    stem = re.sub(r"[^\w.,+=@()-]+", "_", Path(model.name.replace("\\", "/")).stem)
    return stem if model.strength in (None, 1.0) else f"{stem} at {model.strength:g}"
