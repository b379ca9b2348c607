"""The ways to paint that preference is measured by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Use:
    """One way to paint. method: bare, softrepa (the kept adapter), dpo, or lora, one trained by
    dpo. seed: of dpo's training. part: the prompts that chose nothing, or those for choosing."""

    method: str
    strength: float = 1.0
    beta: float = 0.0
    steps: int = 0
    seed: int = 0
    part: str = "judged"


BETAS = (20.0, 200.0, 2000.0, 10_000.0)
"""Tried on the prompts for choosing."""
CHOSEN: Mapping[str, float] = MappingProxyType({"dpo": 2000.0, "lora": 2000.0})
"""The best of them, by method."""
STEPS = 400


def tried() -> Iterator[Use]:
    """What tells which beta is best, for tokens and for a LoRA."""
    for method in ("dpo", "lora"):
        for beta in BETAS:
            yield Use(method, 1.0, beta, STEPS, part="choosing")


def uses() -> Iterator[Use]:
    """What chooses, then a training seed at a time, so that what is there when time runs out
    compares like with like."""
    yield from tried()
    yield Use("bare")
    yield Use("softrepa", 0.5)
    for seed in (0, 1, 2):
        for method, beta in CHOSEN.items():
            yield Use(method, 1.0, beta, STEPS, seed)


IN_ROWS: Mapping[tuple[str, float, float], str] = MappingProxyType(
    {
        ("bare", 1.0, 0.0): "CFG",
        ("dpo", 1.0, CHOSEN["dpo"]): "DPO tokens",
        ("lora", 1.0, CHOSEN["lora"]): "DPO LoRA",
        ("softrepa", 0.5, 0.0): "SoftREPA, demo",
    }
)
"""Methods of the rivals' rows, which are these uses: the same prompts, seeds and guidance."""
