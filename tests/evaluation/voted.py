"""Scores and votes of a made trial, by a rule that a test chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from comfyui_softrepa.evaluation.trial import Cell, Score, Trial


@dataclass(frozen=True)
class Vote:
    """As `evaluation/votes` keeps it."""

    voter: str
    prompt: str
    seed: int
    left_arm: str
    right_arm: str
    answer: str
    repeat: bool = False
    time: float = 0.0


def scored(trial: Trial, scorer: str, value: Callable[[Cell], float]) -> None:
    """Scores every picture that is there."""
    trial.add_scores(
        Score(c.arm, c.prompt, c.seed, scorer, float(value(c)), _hash(trial, c), "e" * 64)
        for c in trial.cells()
        if trial.has(c)
    )


def _hash(trial: Trial, cell: Cell) -> str:
    return hashlib.sha256(trial.read(cell)).hexdigest()


def votes(
    trial: Trial, base: str, arm: str, share: Callable[[str], float], voters: int = 1
) -> Iterator[Vote]:
    """Every pair once a voter, in random order. share: how likely the arm wins, by prompt."""
    rng = np.random.default_rng(0)
    pairs = [(p.id, seed) for p in trial.manifest.prompts for seed in trial.manifest.seeds]
    for voter in range(voters):
        for at in rng.permutation(len(pairs)):
            prompt, seed = pairs[at]
            swapped = bool(rng.integers(2))
            left, right = (arm, base) if swapped else (base, arm)
            won = rng.random() < share(prompt)
            answer = "left" if won == swapped else "right"
            if rng.random() < 0.1:
                answer = ("tie", "both_bad")[int(rng.integers(2))]
            yield Vote(f"voter {voter}", prompt, seed, left, right, answer)
