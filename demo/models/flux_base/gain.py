"""What an adapter does on the Flux base: the demo's recipe, on prompts that chose nothing; and, on
prompts to choose from, at other strengths on the empty prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from ... import world
from ...sweep import branches, grid, train_weight
from .short import Flux

RESULTS = Path(__file__).with_name("results.jsonl")
BRANCHES = Path(__file__).with_name("branches.jsonl")
SEEDS = (0, 1, 2)
LAYERS = "0,1"
"""Its double blocks."""


_FLAGS = {**grid.COMMON, **grid.BEYOND, "objective": "softrepa", "layers": LAYERS}
SETTINGS: branches.Settings = MappingProxyType(
    {"Flux": branches.Setting(Flux.load, _FLAGS, train_weight.STEPS, branches.NARROW, ())}
)


def trials() -> Iterator[grid.Trial]:
    """SoftREPA as the demo trains it, a seed each, at half and at full strength."""
    for seed in SEEDS:
        told = {**_FLAGS, "train_weight": 1.0, "seed": seed}
        yield grid.Trial(told, at=(train_weight.STEPS,), strengths=(0.5, 1.0))


def run(file: Path = RESULTS) -> None:
    """Does what the file does not hold yet."""
    grid.run(file, trials(), world.unswept_scenes(train_weight.PROMPTS), Flux.load)


def run_branches() -> None:
    """The same for strengths that differ on the empty prompt."""
    branches.run(("choosing",), SETTINGS, file=BRANCHES)


def table(file: Path = RESULTS) -> str:
    """A row a strength."""
    return train_weight.table(file)


def branches_table() -> str:
    """A row a use."""
    return branches.chosen_from(SETTINGS, BRANCHES)
