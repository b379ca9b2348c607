"""A small trial of the demo world, whose arms differ in all that a page must not tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from comfyui_softrepa.demo import world
from PIL import Image
from PIL.PngImagePlugin import PngInfo

ARMS = ("plainmodel", "withadapter")
RIGHT = {"plainmodel": 0.3, "withadapter": 0.8}
"""Share of an arm's pictures that show their prompt."""
SECRETS = (*ARMS, "halfway", "adapter-file", "basemodel-file")
"""What stands for an arm: no answer to the page may hold any of it."""


def write_trial(
    folder: Path, prompts: int = 6, seeds: tuple[int, ...] = (7,), arms: tuple[str, ...] = ARMS
) -> list[world.Scene]:
    """Writes the trial and gives the scene of each prompt, in order.

    Pictures of the first arm are written otherwise than those of the rest: palette, compression,
    text chunks, time. Each has its arm's name inside, as a workflow that ComfyUI embeds.
    """
    scenes = world.held_out_scenes(prompts, 3)
    others = world.held_out_scenes(2 * prompts, 4)
    manifest = {
        "format": 1,
        "name": "colours",
        "created": "2026-11-25T10:00:00Z",
        "host": {},
        "arms": [{"name": arm, "models": [
            {"kind": "adapter", "name": f"{arm}-file", "sha256": "0" * 64}]} for arm in arms],
        "prompts": [
            {"id": f"{index:04}", "text": world.caption(scene), "category": "position",
             "language": "en", "expected": []}
            for index, scene in enumerate(scenes)
        ],
        "seeds": list(seeds),
        "sampling": {"sampler": "euler", "scheduler": "simple", "steps": 20, "guidance": 4.0,
                     "width": 64, "height": 64, "denoise": 1.0},
        "pilot": None,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(manifest))
    for arm in arms:
        (folder / "pictures" / arm).mkdir(parents=True)
        for index, scene in enumerate(scenes):
            for seed in seeds:
                rng = np.random.default_rng([index, seed, arms.index(arm)])
                right = rng.random() < RIGHT.get(arm, 0.5)
                shown = scene if right else others[rng.integers(len(others))]
                write_picture(
                    folder / "pictures" / arm / f"{index:04}-{seed}.png",
                    world.render(shown, rng),
                    arm,
                    arms.index(arm) == 0,
                )
    return scenes


def write_picture(path: Path, picture: Image.Image, arm: str, first: bool) -> None:
    """As its arm writes it; the pixels are the same in either way."""
    said = PngInfo()
    said.add_text("prompt", json.dumps({"1": {"inputs": {"lora_name": arm}}}))
    if first:
        picture = picture.convert("RGBA")
        said.add_text("padding", "x" * 5000)
    picture.save(path, pnginfo=said, compress_level=9 if first else 0)
