"""The learning rate of each step."""

from __future__ import annotations

import math

from ..settings.values import Settings

STAIRS = 10
"""In each cycle of `cosine-restarts`: SoftREPA's authors set the rate anew at every tenth of it,
between which it stands (PyTorch's CosineAnnealingWarmRestarts with T_0 = 10, stepped every 500
updates)."""


def rate(settings: Settings, step: int) -> float:
    """The learning rate of the update from step to step + 1; step counts from 0.

    Rises in a straight line over `warmup_steps`; meanwhile the schedule is at its beginning.
    """
    highest, lowest = settings.learning_rate, settings.min_learning_rate
    if step < settings.warmup_steps:
        return highest * (step + 1) / settings.warmup_steps
    at = step - settings.warmup_steps
    if settings.schedule == "cosine":
        share = at / max(1, settings.steps - settings.warmup_steps)
    elif settings.schedule == "cosine-restarts":
        share = math.floor(at % settings.cycle_steps * STAIRS / settings.cycle_steps) / STAIRS
    else:
        return highest
    return lowest + (highest - lowest) * (1.0 + math.cos(math.pi * min(1.0, share))) / 2.0
