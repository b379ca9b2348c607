"""The table of rivals: a new one is a row here, or one file with a sampler and a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..training.lesson import COMMON
from .preference.uses import CHOSEN, STEPS, Use


@dataclass(frozen=True)
class Lesson:
    """How an adapter is trained: the trainer's flags, and by base what differs. mixed: on captions
    of all lengths in `length`.

    kept: by base, the file in demo/models/kept that is its training of seed 0, by the trainer
    itself.
    """

    flags: Mapping[str, Any]
    kept: Mapping[str, str] = field(default_factory=dict)
    by_base: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mixed: bool = False

    def of(self, base: str) -> dict[str, Any]:
        """The flags for a base."""
        own = {"layers": "input" if base == "unet" else "0,1,2"}
        return {**self.flags, **own, **self.by_base.get(base, {})}


_SHARED = {key: COMMON[key] for key in ("batch_size", "tokens")} | {"learning_rate": 1e-3}
_BEYOND = {key: COMMON[key] for key in ("normalise", "hard_share")}
_ONE_NEGATIVE = {**_SHARED, **_BEYOND, "objective": "softrepa", "negatives": 1, "steps": 200}
LESSONS: Mapping[str, Lesson] = MappingProxyType(
    {
        "softrepa-demo": Lesson(
            {**_SHARED, **_BEYOND, "objective": "softrepa", "steps": 200},
            kept={"sd3": "softrepa.safetensors"},
        ),
        "agsm": Lesson({**_SHARED, **_BEYOND, "objective": "agsm", "steps": 400}),
        "agsm-short": Lesson(
            {**_SHARED, **_BEYOND, "objective": "agsm", "steps": 60},
            kept={"sd3": "agsm.safetensors"},
        ),
        "softrepa-published": Lesson({**_SHARED, "objective": "softrepa", "steps": 400}),
        "softrepa-recommended": Lesson(
            _ONE_NEGATIVE, by_base={"unet": {"normalise": False, "steps": 400}}
        ),
        "softrepa-normalised": Lesson({**_ONE_NEGATIVE, "steps": 400}),
        "softrepa-mixed": Lesson(
            {**_SHARED, **_BEYOND, "objective": "softrepa", "steps": 200}, mixed=True
        ),
    }
)
PREFERENCE: Mapping[str, Use] = MappingProxyType(
    {
        "dpo": Use("dpo", beta=CHOSEN["dpo"], steps=STEPS),
        "dpo-lora": Use("lora", beta=CHOSEN["lora"], steps=STEPS),
    }
)
"""Lessons that `preference` gives."""


@dataclass(frozen=True)
class Method:
    """One row. sampler: a name in `guidance.SAMPLERS` or `attention.LED`. lesson: of the adapter,
    in LESSONS or PREFERENCE, used at `strength`. bases: those it is for.

    scales: those that are tried on the prompts for choosing; the row's own is the best of them.
    like: or the method whose choice is taken over. beneath: of a sampler in LED, whose scale is
    another, the method whose choice is the guidance beneath. preferred: a lesson of PREFERENCE
    that acts in full beside the adapter, as an earlier node puts it there, of the same seed.
    """

    name: str
    sampler: str
    scales: tuple[float, ...] = ()
    like: str | None = None
    lesson: str | None = None
    strength: float = 1.0
    bases: tuple[str, ...] = ("sd3", "unet")
    beneath: str | None = None
    preferred: str | None = None

    @property
    def trained(self) -> bool:
        """Whether it has training seeds."""
        return self.lesson is not None or self.preferred is not None


JOINED = " + "
"""Between the parts of a hybrid's name, each of which is a method's."""
ORDINARY, PLUS = "CFG", "CFG++"


def _preferred() -> Iterator[Method]:
    """DPO's tokens and its LoRA: alone, with CFG++, and beneath SoftREPA and AGSM."""
    for name, lesson in (("DPO tokens", "dpo"), ("DPO LoRA", "dpo-lora")):
        of: dict[str, Any] = {"like": ORDINARY, "preferred": lesson}
        yield Method(name, "CFG", **of)
        yield Method(f"SoftREPA, demo + {name}", "CFG", lesson="softrepa-demo", strength=0.5, **of)
        yield Method(f"AGSM + {name}", "CFG", lesson="agsm", **of)
        yield Method(f"{name} + CFG++", "CFG++", like=PLUS, preferred=lesson)


def _led(name: str, base: str, *scales: float) -> tuple[Method, ...]:
    """A sampler of LED on its base, alone and with the demo's SoftREPA."""
    common: dict[str, Any] = {"bases": (base,), "beneath": ORDINARY}
    return (
        Method(name, name, scales, **common),
        Method(f"SoftREPA, demo + {name}", name, (), name, "softrepa-demo", 0.5, **common),
    )


METHODS: tuple[Method, ...] = (
    Method("no guidance", "alone", (1.0,)),
    Method(ORDINARY, "CFG", (2.0, 3.0, 4.0, 6.0, 8.0, 10.0)),
    Method(PLUS, "CFG++", (0.6, 1.0, 1.5, 2.0, 3.0)),
    Method("SoftREPA, demo", "CFG", (), ORDINARY, "softrepa-demo", 0.5),
    Method("AGSM", "CFG", like=ORDINARY, lesson="agsm"),
    Method("SoftREPA, demo + CFG++", "CFG++", (), PLUS, "softrepa-demo", 0.5),
    Method("AGSM + CFG++", "CFG++", like=PLUS, lesson="agsm"),
    Method("SoftREPA, published", "CFG", like=ORDINARY, lesson="softrepa-published"),
    Method("SoftREPA, recommended", "CFG", like=ORDINARY, lesson="softrepa-recommended"),
    Method(
        "SoftREPA, recommended, at half strength",
        "CFG",
        like=ORDINARY,
        lesson="softrepa-recommended",
        strength=0.5,
        bases=("sd3",),
    ),
    Method(
        "SoftREPA, recommended, but normalised",
        "CFG",
        like=ORDINARY,
        lesson="softrepa-normalised",
        bases=("unet",),
    ),
    *_led("SLG", "sd3", 0.1, 0.25, 0.5, 1.0),
    *_led("PAG", "unet", 0.25, 1.0, 3.0, 6.0),
    *_led("FOCUS", "sd3", 1.0, 3.0, 10.0, 30.0),
    *_preferred(),
    Method(
        "SoftREPA, published + CFG++",
        "CFG++",
        like=PLUS,
        lesson="softrepa-published",
        bases=("unet",),
    ),
    Method(
        "SoftREPA, published + DPO LoRA",
        "CFG",
        like=ORDINARY,
        lesson="softrepa-published",
        bases=("unet",),
        preferred="dpo-lora",
    ),
    Method(
        "SoftREPA, published + DPO LoRA + CFG++",
        "CFG++",
        like=PLUS,
        lesson="softrepa-published",
        bases=("unet",),
        preferred="dpo-lora",
    ),
    Method(
        "SoftREPA, demo + DPO LoRA + CFG++",
        "CFG++",
        like=PLUS,
        lesson="softrepa-demo",
        strength=0.5,
        bases=("sd3",),
        preferred="dpo-lora",
    ),
    Method(
        "SoftREPA, mixed lengths",
        "CFG",
        like=ORDINARY,
        lesson="softrepa-mixed",
        strength=0.5,
        bases=("sd3",),
    ),
    *_led("Attend-and-Excite", "unet", 1.0, 3.0, 10.0, 20.0),
    Method(
        "AGSM + Attend-and-Excite",
        "Attend-and-Excite",
        like="Attend-and-Excite",
        lesson="agsm",
        bases=("unet",),
        beneath=ORDINARY,
    ),
    Method(
        "SoftREPA, published + Attend-and-Excite",
        "Attend-and-Excite",
        like="Attend-and-Excite",
        lesson="softrepa-published",
        bases=("unet",),
        beneath=ORDINARY,
    ),
    *_led("Attend-and-Excite, pairs", "unet", 1.0, 3.0, 6.0, 12.0),
    *_led("Attend-and-Excite, overlap", "unet", 3.0, 6.0, 12.0, 30.0),
)
"""In the order in which they are run, so that what a first short time gives is a whole."""


def methods(only: str | None = None) -> Iterator[Method]:
    """Those whose name contains `only`, and those whose choice of scale they take over."""
    chosen = [method for method in METHODS if only is None or only.lower() in method.name.lower()]
    needed = {name for method in chosen for name in (method.name, method.like, method.beneath)}
    return (method for method in METHODS if method.name in needed)
