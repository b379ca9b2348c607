"""Editing with and without an adapter: is what was asked for there, and is the rest as it was?

A picture of a held-out scene is drawn and edited to a scene that differs in one attribute of one
group. Measured: whether the judge finds the target, and the PSNR outside of the changed group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ....editing.stepping import FlowAlign, Plan, Velocities, Velocity, edit, flow_edit
from ....softrepa.adapter import Adapter
from ... import world
from ...evaluation.evaluate import LATENT, verdicts
from ...sweep.short.sd3 import LEVELS, Model
from ...world.judge import ATTRIBUTES
from .. import bench as rivals
from ..run import ADAPTERS
from .arms import UNEDITED, Arm

EDITS = 210
"""A third each of colours, shapes and numbers."""
KINDS = ("colour", "shape", "number")
_BATCH = 105
_MARGIN = 5
"""Pixels around the changed group that its edit may touch: the VAE's own blur."""
_SEED = 20_000


@dataclass(frozen=True)
class Edit:
    """From what to what; changed: the group's place in both scenes."""

    source: world.Scene
    target: world.Scene
    changed: int
    kind: str


def edits(count: int = EDITS) -> list[Edit]:
    """The first held-out scenes that chose no setting, each with a change drawn for it."""
    rng = np.random.default_rng(_SEED)
    scenes = world.unswept_scenes(count)
    return [_edit(scene, KINDS[at % len(KINDS)], rng) for at, scene in enumerate(scenes)]


def _edit(scene: world.Scene, kind: str, rng: np.random.Generator) -> Edit:
    place = int(rng.integers(2))
    group, other = scene.groups[place], scene.groups[1 - place]
    choices = {
        "colour": [c for c in world.COLOURS if c not in (group.colour, other.colour)],
        "shape": [s for s in world.SHAPES if s != group.shape],
        "number": [n for n in (1, 2, 3) if n != group.number],
    }[kind]
    changed = replace(group, **{kind: choices[rng.integers(len(choices))]})
    groups = {"first": changed} if place == 0 else {"second": changed}
    return Edit(scene, replace(scene, **groups), place, kind)


@dataclass(frozen=True, eq=False)
class Bench:
    """The model, its adapters, the edits, and their sources: pictures (N, 64, 64, 3), latents
    (N, 16, 8, 8), and for each picture where nothing is to change."""

    model: Model
    adapters: rivals.Bench
    edits: list[Edit]
    pictures: NDArray[np.uint8]
    latents: Tensor
    kept: NDArray[np.bool_]

    @classmethod
    def prepared(
        cls, count: int = EDITS, model: Model | None = None, adapters: Path = ADAPTERS
    ) -> Bench:
        model, chosen, rng = model or Model.load(), edits(count), np.random.default_rng(_SEED)
        pictures = np.stack([np.asarray(world.render(one.source, rng)) for one in chosen])
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            latents = model.autoencoder["encoder"](pixels)
        kept = np.stack([_kept(*each) for each in zip(pictures, chosen, strict=True)])
        trained = rivals.Bench("sd3", rivals.WHOLE, adapters)
        return cls(model, trained, chosen, pictures, latents.clone(), kept)

    def edited(self, arm: Arm) -> NDArray[np.uint8]:
        """(N, 64, 64, 3), the edit at index i with noise from seed i alone."""
        adapter = self.adapters.adapter(arm.adapter, arm.seed)[0] if arm.adapter else None
        with torch.inference_mode():
            return self._decoded(self.latents) if arm == UNEDITED else self._edited(arm, adapter)

    def _edited(self, arm: Arm, adapter: Adapter | None) -> NDArray[np.uint8]:
        parts = []
        for start in range(0, len(self.edits), _BATCH):
            part = slice(start, start + _BATCH)
            places = range(len(self.edits))[part]
            generators = [torch.Generator().manual_seed(place) for place in places]

            def draw(generators: list[torch.Generator] = generators) -> Tensor:
                return torch.cat([torch.randn(LATENT, generator=one) for one in generators])

            latent = edit(
                self.latents[part],
                schedule(arm.steps),
                Plan(0, arm.n_max),
                FlowAlign() if arm.method == "FlowAlign" else flow_edit,
                self._velocities(arm, self.edits[part], adapter),
                draw,
            )
            parts.append(self._decoded(latent))
        return np.concatenate(parts)

    def _decoded(self, latent: Tensor) -> NDArray[np.uint8]:
        pixels = 255.0 * self.model.autoencoder["decoder"](latent).permute(0, 2, 3, 1).numpy()
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def _velocities(self, arm: Arm, chosen: list[Edit], adapter: Adapter | None) -> Velocities:
        source = [world.caption(one.source) for one in chosen]
        target = [world.caption(one.target) for one in chosen]
        empty = [""] * len(chosen)
        if arm.method == "FlowAlign":
            plain = self._guided(source, None, 1.0, adapter, arm.strength)
            return Velocities(
                plain, self._guided(target, source, arm.target_cfg, adapter, arm.strength)
            )
        return Velocities(
            self._guided(source, empty, arm.source_cfg, adapter, arm.strength),
            self._guided(target, empty, arm.target_cfg, adapter, arm.strength),
        )

    def _guided(
        self,
        towards: list[str],
        away_from: list[str] | None,
        scale: float,
        adapter: Adapter | None,
        strength: float,
    ) -> Velocity:
        texts = self.model.prompts.encode([*towards, *(away_from or [])])

        def velocity(x: Tensor, sigma: Tensor) -> Tensor:
            both = x if away_from is None else torch.cat((x, x))
            found = self.model.predict(both, float(sigma), texts, adapter, strength=strength)
            if away_from is None:
                return found
            told, untold = found.split(len(x))
            return untold + scale * (told - untold)

        return velocity

    def measure(self, pictures: NDArray[np.uint8]) -> dict[str, Any]:
        """The judge's word on each against its target, and each one's PSNR where nothing is to
        change, in dB."""
        found = verdicts(list(pictures), [one.target for one in self.edits])
        right = {name: "".join("01"[one.as_dict()[name]] for one in found) for name in ATTRIBUTES}
        return {"right": right, "psnr": [round(psnr, 2) for psnr in self._psnr(pictures)]}

    def _psnr(self, pictures: NDArray[np.uint8]) -> list[float]:
        squares = ((pictures.astype(float) - self.pictures) ** 2).mean(axis=-1)
        means = [one[kept].mean() for one, kept in zip(squares, self.kept, strict=True)]
        return [float(10 * np.log10(255.0**2 / max(mean, 1e-3))) for mean in means]


def schedule(steps: int) -> Tensor:
    """ComfyUI's normal scheduler for this model: evenly spaced timesteps, shifted by 3, then 0."""

    def shifted(level: Tensor) -> Tensor:
        return 3.0 * level / (1.0 + 2.0 * level)

    least = float(shifted(torch.tensor(1 / LEVELS)))
    return torch.cat((shifted(torch.linspace(1.0, least, steps)), torch.zeros(1)))


def _kept(picture: NDArray[np.uint8], one: Edit) -> NDArray[np.bool_]:
    """Where the edit has nothing to do: all but the changed group's box and a margin, and where
    its number changes all of its row."""
    group = one.source.groups[one.changed]
    away = np.linalg.norm(picture.astype(float) - world.COLOURS[group.colour], axis=-1)
    (rows, columns) = ndimage.find_objects((away < 60).astype(int))[0]
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    if one.kind == "number":
        if one.source.relation in ("left of", "right of"):
            top, bottom = 0, world.SIZE
        else:
            left, right = 0, world.SIZE
    kept = np.ones(picture.shape[:2], dtype=bool)
    kept[max(0, top - _MARGIN) : bottom + _MARGIN, max(0, left - _MARGIN) : right + _MARGIN] = False
    return kept
