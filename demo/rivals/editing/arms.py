"""The ways to edit that are held against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One way to edit. adapter: a lesson of `methods.LESSONS`, "" for none; seed: its training's.
    target_cfg: in the usual convention (SoftREPA's authors' 9 is 10 here)."""

    method: str = "FlowEdit"
    steps: int = 50
    n_max: int = 33
    source_cfg: float = 3.5
    target_cfg: float = 13.5
    adapter: str = ""
    strength: float = 1.0
    seed: int = 0

    @property
    def predictions(self) -> int:
        """Of the network, a picture."""
        return min(self.steps, self.n_max) * (3 if self.method == "FlowAlign" else 4)


UNEDITED = Arm(method="none")
USES: tuple[Mapping[str, Any], ...] = (
    {},
    {"adapter": "softrepa-demo", "strength": 0.5},
    {"adapter": "softrepa-demo"},
    {"adapter": "agsm"},
    {"adapter": "agsm-short"},
)
SEEDS = 3
"""Trainings of each adapter."""
WAYS: tuple[Mapping[str, Any], ...] = (
    {"target_cfg": 5.5},
    {"n_max": 40, "target_cfg": 5.5},
    {"method": "FlowAlign", "steps": 33, "target_cfg": 5.5},
    {},
    {"n_max": 30, "target_cfg": 10.0},
    {"method": "FlowAlign", "steps": 33},
)
"""The last three are those of the authors of FlowEdit, SoftREPA and FlowAlign; the first three were
better on a few other pictures of this base, which wants less guidance than SD3."""


def trainings(arm: Arm) -> list[Arm]:
    """An arm with each training of its adapter."""
    return [replace(arm, seed=seed) for seed in range(SEEDS)] if arm.adapter else [arm]


def shown() -> list[Arm]:
    """In the order of a table: a way at a time, each with the first training."""
    return [UNEDITED, *(Arm(**way, **use) for way in WAYS for use in USES)]


def arms() -> list[Arm]:
    """All that are measured: every way without an adapter first, then a training at a time, so that
    what is there when time runs out can be compared."""
    return sorted(
        (one for arm in shown() for one in trainings(arm)),
        key=lambda arm: (arm.adapter != "", arm.seed),
    )
