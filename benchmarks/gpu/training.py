"""Training steps of four images on SD1.5, SDXL and SD3 in full size, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import comfy.model_management
import torch

from ...training.model.denoiser import Denoiser
from ..training import training_step
from . import families

WAYS = (
    ("softrepa", 1, True),
    ("softrepa", 3, True),
    ("agsm", 3, True),
    ("softrepa", 1, False),
    ("softrepa", 3, False),
    ("agsm", 1, False),
    ("agsm", 3, False),
)
"""Objective, negatives of an image, --checkpointing: what takes least memory first."""
STEPS = 5


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Seconds of a step and peak memory, batch 4, one negative and all, at micro-batch 4."""
    for name in families.chosen(families.FULL, models):
        family = families.FULL[name]
        try:
            made = families.denoiser(name, small)
            for objective, negatives, checkpointing in WAYS:
                run = families.step(
                    training_step, made, family, objective, negatives, small, checkpointing
                )
                how = f"{negatives} negatives each{', --checkpointing' * checkpointing}"
                yield f"{name}: {objective}, 4 images, {how}", _taken(made, run, small)
        except torch.OutOfMemoryError as error:
            yield f"{name}: the rest", f"does not fit this card ({str(error).split('.')[0]})"
        finally:
            made = run = None
            comfy.model_management.unload_all_models()
            comfy.model_management.soft_empty_cache()


def _taken(made: Denoiser, run: Callable[[], None], small: bool) -> str:
    run()  # warm up
    if made.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [training_step.timed(made, run) for _ in range(1 if small else STEPS)]
    peak = torch.cuda.max_memory_allocated() if made.device.type == "cuda" else 0
    return f"{training_step.spread(times)} s, peak {peak / 1e9:.2f} GB"
