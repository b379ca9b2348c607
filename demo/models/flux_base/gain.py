"""What an adapter does on the Flux base: the demo's recipe, on prompts that chose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ... import world
from ...sweep import grid, train_weight
from .short import Flux

RESULTS = Path(__file__).with_name("results.jsonl")
SEEDS = (0, 1, 2)
LAYERS = "0,1"
"""Its double blocks."""


def trials() -> Iterator[grid.Trial]:
    """SoftREPA as the demo trains it, a seed each, at half and at full strength."""
    flags = {**grid.COMMON, **grid.BEYOND, "objective": "softrepa", "layers": LAYERS}
    for seed in SEEDS:
        told = {**flags, "train_weight": 1.0, "seed": seed}
        yield grid.Trial(told, at=(train_weight.STEPS,), strengths=(0.5, 1.0))


def run(file: Path = RESULTS) -> None:
    """Does what the file does not hold yet."""
    grid.run(file, trials(), world.unswept_scenes(train_weight.PROMPTS), Flux.load)


def table(file: Path = RESULTS) -> str:
    """A row a strength."""
    return train_weight.table(file)
