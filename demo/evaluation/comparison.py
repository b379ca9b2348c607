"""The same prompts and seeds with and without the adapter, through a real ComfyUI's nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...evaluation.commands.places import BELOW
from ...evaluation.painting import recipe
from ...evaluation.painting.recipe import ArmRecipe, Base
from ...evaluation.trial import Sampling
from ...evaluation.trial.files import is_whole_png, write_whole
from ...host.server import Server
from ...training.cache.progress import progress
from .. import world

BARE = ArmRecipe("bare")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Pictures of the same scenes and seeds: (N, 64, 64, 3) each."""

    scenes: Sequence[world.Scene]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    def of(self, chosen: Sequence[int]) -> Comparison:
        """The pictures at these places only."""
        scenes = [self.scenes[at] for at in chosen]
        return Comparison(scenes, self.before[list(chosen)], self.after[list(chosen)])


@dataclass(frozen=True)
class Pictures:
    """A folder that keeps pictures between runs, apart by what made them."""

    folder: Path

    @classmethod
    def of(cls, folder: Path, *made_by: object) -> Pictures:
        """made_by: all that the pictures depend on; files count with their content."""
        digest = hashlib.sha256()
        for part in made_by:
            digest.update(part.read_bytes() if isinstance(part, Path) else repr(part).encode())
        return cls(folder / digest.hexdigest()[:16])

    def path(self, scene: world.Scene, seed: int) -> Path:
        return self.folder / f"{world.caption(scene).replace(' ', '_')}.{seed}.png"


@dataclass(frozen=True)
class Painter:
    """Paints through a server. checkpoint: its name as the server lists it."""

    server: Server
    checkpoint: str
    sampling: Sampling

    def paint(
        self,
        pictures: Pictures,
        scenes: Sequence[world.Scene],
        arm: ArmRecipe = BARE,
        quiet: bool = False,
    ) -> NDArray[np.uint8]:
        """(N, 64, 64, 3); the scene at index i has seed i. What the folder holds is not painted.

        arm: with its adapter's name as the server lists it. quiet: without progress. Raises
        GraphError.
        """
        painted = []
        for seed, scene in enumerate(progress(scenes, "pictures", unit="", disable=quiet)):
            file = pictures.path(scene, seed)
            if not is_whole_png(file):
                result = self.server.run(self.graph(world.caption(scene), seed, arm))
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, self.server.image(result.images[recipe.PICTURE][0]))
            painted.append(np.asarray(Image.open(file).convert("RGB")))
        return np.stack(painted)

    def graph(self, prompt: str, seed: int, arm: ArmRecipe = BARE) -> dict[str, Any]:
        """One picture, with and without the adapter from equal prompt, noise and settings."""
        base = Base(self.checkpoint)
        return recipe.picture(base, arm, prompt, "", seed, self.sampling)

    def paint_trial(
        self, name: str, scenes: Sequence[world.Scene], arm: ArmRecipe, seeds: str
    ) -> Path:
        """The trial of the bare base and an arm, every scene with each seed; returns its folder.

        name: the folder's, in the server's output; a trial that is there is gone on with.
        seeds: such as 1-4,7. Raises GraphError.
        """
        prompts = "\n".join(map(world.caption, scenes))
        inputs = recipe.trial_inputs(name, prompts, "", seeds, self.sampling)
        self.server.run(recipe.graph(Base(self.checkpoint), [BARE, arm], inputs))
        return self.server.base / BELOW / name


def with_adapter(name: str, adapter: str, **settings: float) -> ArmRecipe:
    """The arm called `name`; adapter: as the server lists it; settings: of an arm in words."""
    return ArmRecipe(name, (recipe.Part("adapter", adapter, settings),))
