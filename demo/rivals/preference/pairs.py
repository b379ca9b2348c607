"""The base's own pictures, the best and the worst of a few for each prompt, as the judge has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ... import world
from ...evaluation.evaluate import verdicts
from ...sweep.short.forward import Short
from ...sweep.short.training import Pairs
from ...world.judge import Verdict

PROMPTS, SEEDS = 240, 4
_SEED = 11
_FIRST_SEED = 100_000
"""No prompt of a measurement is painted with such a seed."""


@dataclass(frozen=True, eq=False)
class Compared(Pairs):
    """The better pictures (the first half), the worse ones (the second), and the caption of each.
    pictures: (2N, 64, 64, 3)."""

    pictures: NDArray[np.uint8]

    @property
    def count(self) -> int:
        """Pairs."""
        return len(self.texts) // 2

    def write(self, folder: Path) -> None:
        """As a folder for `training/train.py --objective dpo`."""
        folder.mkdir(parents=True, exist_ok=True)
        for at in range(self.count):
            stem = folder / f"{at + 1:06}"
            Image.fromarray(self.pictures[at]).save(f"{stem}.png")
            Image.fromarray(self.pictures[self.count + at]).save(f"{stem}.lose.png")
            Path(f"{stem}.txt").write_text(self.texts[at] + "\n", encoding="utf-8")


def painted(model: Short, prompts: int = PROMPTS, seeds: int = SEEDS) -> Compared:
    """So many different scenes of the training part, each painted with so many seeds; those whose
    pictures are all equally right tell nothing and are left out."""
    rng = np.random.default_rng(_SEED)
    scenes: dict[str, world.Scene] = {}
    while len(scenes) < prompts:
        scene = world.sample_scene(rng)
        scenes.setdefault(world.caption(scene), scene)
    repeated = [name for name in scenes for _ in range(seeds)]
    numbers = range(_FIRST_SEED, _FIRST_SEED + len(repeated))
    pictures = model.paint(repeated, numbers)
    found = verdicts(list(pictures), [scenes[name] for name in repeated])
    better, worse, texts = [], [], []
    for at, name in enumerate(scenes):
        group = range(at * seeds, (at + 1) * seeds)
        scores = [_score(found[place]) for place in group]
        if max(scores) > min(scores):
            better.append(group[int(np.argmax(scores))])
            worse.append(group[int(np.argmin(scores))])
            texts.append(name)
    return _encoded(model, [*texts, *texts], pictures[[*better, *worse]])


def kept(model: Short, file: Path, prompts: int = PROMPTS) -> Compared:
    """The same from a file (.npz), which is made where it is not there."""
    if file.is_file():
        with np.load(file) as found:
            return _encoded(model, found["texts"].tolist(), found["pictures"])
    made = painted(model, prompts)
    file.parent.mkdir(parents=True, exist_ok=True)
    remains = file.with_suffix(".part.npz")
    np.savez(remains, texts=np.array(made.texts), pictures=made.pictures)
    remains.replace(file)
    return made


def _encoded(model: Short, texts: Sequence[str], pictures: NDArray[np.uint8]) -> Compared:
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        return Compared(model.autoencoder["encoder"](pixels).clone(), texts, pictures)


def _score(verdict: Verdict) -> int:
    return sum(verdict.as_dict().values())
