"""The same prompts and seeds with and without the adapter, through a real ComfyUI's nodes."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..host.server import Server
from ..training.cache.progress import progress
from . import world
from .evaluate import Sampling


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

    def keep(self, path: Path, data: bytes) -> None:
        """The file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(data)
        os.replace(partial, path)


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
        adapter: str | None = None,
        strength: float = 1.0,
        quiet: bool = False,
    ) -> NDArray[np.uint8]:
        """(N, 64, 64, 3); the scene at index i has seed i. What the folder holds is not painted.

        adapter: its name as the server lists it; None for the bare model. quiet: without progress.
        Raises GraphError.
        """
        painted = []
        for seed, scene in enumerate(progress(scenes, "pictures", unit="", disable=quiet)):
            file = pictures.path(scene, seed)
            if not file.is_file():
                result = self.server.run(self.graph(world.caption(scene), seed, adapter, strength))
                pictures.keep(file, self.server.image(result.images["picture"][0]))
            painted.append(np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB")))
        return np.stack(painted)

    def graph(
        self, prompt: str, seed: int, adapter: str | None = None, strength: float = 1.0
    ) -> dict[str, Any]:
        """One picture, with and without the adapter from equal prompt, noise and settings."""
        nodes = {
            "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=self.checkpoint),
            "positive": _node("CLIPTextEncode", clip=["checkpoint", 1], text=prompt),
            "negative": _node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
            "latent": _node("EmptySD3LatentImage", width=world.SIZE, height=world.SIZE,
                            batch_size=1),
        }  # fmt: skip
        if adapter is not None:
            nodes["loader"] = _node("SoftREPALoader", adapter=adapter)
            nodes["apply"] = _node(
                "SoftREPAApply",
                model=["checkpoint", 0],
                adapter=["loader", 0],
                strength=strength,
                start_percent=0.0,
                end_percent=1.0,
                layers="",
            )
        nodes["sampler"] = _node(
            "KSampler",
            model=["checkpoint" if adapter is None else "apply", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=self.sampling.steps,
            cfg=self.sampling.guidance,
            sampler_name=self.sampling.sampler,
            scheduler=self.sampling.scheduler,
            denoise=1.0,
        )
        nodes["decode"] = _node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2])
        # Temporary files: the pictures are kept elsewhere.
        nodes["picture"] = _node("PreviewImage", images=["decode", 0])
        return nodes


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
