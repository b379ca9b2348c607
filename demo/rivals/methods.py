"""The table of rivals: a new one is a row here, or one file with a sampler and a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..lesson import COMMON


@dataclass(frozen=True)
class Lesson:
    """How an adapter is trained: the trainer's flags, and by base what differs.

    kept: by base, the file in demo/kept that is its training of seed 0, by the trainer itself.
    """

    flags: Mapping[str, Any]
    kept: Mapping[str, str] = field(default_factory=dict)
    by_base: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, base: str) -> dict[str, Any]:
        """The flags for a base."""
        own = {"sd3": {"layers": "0,1,2"}, "unet": {"layers": "input"}}[base]
        return {**self.flags, **own, **self.by_base.get(base, {})}


_SHARED = {key: COMMON[key] for key in ("batch_size", "tokens")} | {"learning_rate": 1e-3}
_BEYOND = {key: COMMON[key] for key in ("normalise", "hard_share")}
LESSONS: Mapping[str, Lesson] = MappingProxyType(
    {
        "softrepa-demo": Lesson(
            {**_SHARED, **_BEYOND, "objective": "softrepa", "steps": 200},
            kept={"sd3": "softrepa.safetensors"},
        ),
        "agsm": Lesson({**_SHARED, **_BEYOND, "objective": "agsm", "steps": 400}),
        "softrepa-published": Lesson({**_SHARED, "objective": "softrepa", "steps": 400}),
        "softrepa-recommended": Lesson(
            {**_SHARED, **_BEYOND, "objective": "softrepa", "negatives": 1, "steps": 200}
        ),
    }
)


@dataclass(frozen=True)
class Method:
    """One row. sampler: a name in `guidance.SAMPLERS`. lesson: of the adapter, used at `strength`.

    scales: those that are tried on the prompts for choosing; the row's own is the best of them.
    like: or the method whose choice is taken over.
    """

    name: str
    sampler: str
    scales: tuple[float, ...] = ()
    like: str | None = None
    lesson: str | None = None
    strength: float = 1.0


ORDINARY, PLUS, WEAK = "CFG", "CFG++", "PAG or SLG"

METHODS: tuple[Method, ...] = (
    Method("no guidance", "alone", (1.0,)),
    Method(ORDINARY, "CFG", (2.0, 3.0, 4.0, 6.0, 8.0)),
    Method(PLUS, "CFG++", (0.6, 1.0, 1.5, 2.0, 3.0)),
    Method("SoftREPA, demo", "CFG", (), ORDINARY, "softrepa-demo", 0.5),
    Method("AGSM", "CFG", like=ORDINARY, lesson="agsm"),
    Method("SoftREPA, demo + CFG++", "CFG++", (), PLUS, "softrepa-demo", 0.5),
    Method("AGSM + CFG++", "CFG++", like=PLUS, lesson="agsm"),
    Method("SoftREPA, published", "CFG", like=ORDINARY, lesson="softrepa-published"),
    Method("SoftREPA, recommended", "CFG", like=ORDINARY, lesson="softrepa-recommended"),
    Method(WEAK, "PAG or SLG", (0.1, 0.25, 0.5, 1.0)),
    Method("SoftREPA, demo + PAG or SLG", "PAG or SLG", (), WEAK, "softrepa-demo", 0.5),
)
"""In the order in which they are run, so that what a first short time gives is a whole."""

PLANNED: Mapping[str, str] = MappingProxyType(
    {
        "Attend-and-Excite, three losses": "the node is there or on its way; its gradient has no "
        "short forward yet",
        "FOCUS": "not written",
        "DPO tokens": "the objective `dpo` is a lesson once the trainer has it",
        "DPO LoRA": "not trained",
        "SoftREPA + Attend-and-Excite, + DPO": "wait for these",
    }
)
"""Rows that are wanted and have not been run, with what they wait for."""


def methods(only: str | None = None) -> Iterator[Method]:
    """Those whose name contains `only`, and those whose choice of scale they take over."""
    chosen = [method for method in METHODS if only is None or only.lower() in method.name.lower()]
    needed = {method.like for method in chosen} | {method.name for method in chosen}
    return (method for method in METHODS if method.name in needed)
