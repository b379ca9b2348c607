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
from tqdm import tqdm

from ..host.server import Server
from . import world
from .evaluate import Sampling

SIDES = ("before", "after")


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

    def path(self, scene: world.Scene, seed: int, side: str) -> Path:
        return self.folder / f"{world.caption(scene).replace(' ', '_')}.{seed}.{side}.png"

    def keep(self, path: Path, data: bytes) -> None:
        """The file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(data)
        os.replace(partial, path)


def compare(
    server: Server,
    pictures: Pictures,
    checkpoint: str,
    adapter: str,
    scenes: Sequence[world.Scene],
    sampling: Sampling,
) -> Comparison:
    """Paints what the folder does not hold yet; the scene at index i has seed i.

    checkpoint, adapter: names as the server lists them. Raises GraphError.
    """
    sides: dict[str, list[NDArray[np.uint8]]] = {side: [] for side in SIDES}
    for seed, scene in enumerate(tqdm(scenes, desc="pictures", unit="prompt")):
        files = {side: pictures.path(scene, seed, side) for side in SIDES}
        if not all(file.is_file() for file in files.values()):
            result = server.run(graph(checkpoint, adapter, world.caption(scene), seed, sampling))
            for side, file in files.items():
                pictures.keep(file, server.image(result.images[side][0]))
        for side, file in files.items():
            sides[side].append(np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB")))
    return Comparison(scenes, *(np.stack(sides[side]) for side in SIDES))


def graph(
    checkpoint: str, adapter: str, prompt: str, seed: int, sampling: Sampling
) -> dict[str, Any]:
    """One prompt and seed painted twice, as example_workflows has it for artists."""
    nodes = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "loader": _node("SoftREPALoader", adapter=adapter),
        "apply": _node(
            "SoftREPAApply",
            model=["checkpoint", 0],
            adapter=["loader", 0],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
            layers="",
        ),
        "positive": _node("CLIPTextEncode", clip=["checkpoint", 1], text=prompt),
        "negative": _node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
        "latent": _node("EmptySD3LatentImage", width=world.SIZE, height=world.SIZE, batch_size=1),
    }
    for side, model in zip(SIDES, ("checkpoint", "apply"), strict=True):
        nodes[f"sampler {side}"] = _node(
            "KSampler",
            model=[model, 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=sampling.steps,
            cfg=sampling.guidance,
            sampler_name=sampling.sampler,
            scheduler=sampling.scheduler,
            denoise=1.0,
        )
        nodes[f"decode {side}"] = _node(
            "VAEDecode", samples=[f"sampler {side}", 0], vae=["checkpoint", 2]
        )
        # Temporary files: the pictures are kept elsewhere.
        nodes[side] = _node("PreviewImage", images=[f"decode {side}", 0])
    return nodes


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
