"""Trials that tests make: manifests and pictures, small and of any content."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.trial import Arm, Cell, Manifest, Model, Prompt, Sampling
from PIL import Image

CATEGORIES = ("number", "colour")


def manifest(
    prompts: int = 4, seeds: tuple[int, ...] = (1, 2), arms: tuple[str, ...] = ("bare", "SoftREPA")
) -> Manifest:
    """Half of the prompts in each of two categories."""
    base = Model("checkpoint", "model.safetensors", "a" * 64)
    adapter = Model("adapter", "adapter.safetensors", "b" * 64, strength=1.0, layers="0-1")
    return Manifest(
        name="does it help",
        created="2026-11-25T18:00:00+00:00",
        host={"comfyui": "0.3.75", "torch": "2.14.1"},
        arms=tuple(Arm(n, (base, adapter) if at else (base,)) for at, n in enumerate(arms)),
        prompts=tuple(
            Prompt(
                id=f"{at + 1:04d}",
                text=f"{at + 1} cats",
                category=CATEGORIES[at % 2],
                expected=({"class": "cat", "count": at + 1},),
            )
            for at in range(prompts)
        ),
        seeds=seeds,
        sampling=Sampling("euler", "normal", 8, 4.0, 64, 64),
    )


def png(cell: Cell, side: int = 64) -> bytes:
    """A picture that only this cell has."""
    drawn = np.random.default_rng(list(hashlib.sha256(repr(cell).encode()).digest()))
    colours = drawn.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def painted(folder: Path, of: Manifest | None = None) -> trial.Trial:
    """A trial with all its pictures."""
    begun = trial.start(folder, of or manifest())
    for cell in begun.cells():
        begun.write(cell, png(cell))
    return begun
