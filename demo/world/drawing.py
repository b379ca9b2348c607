"""Pictures of scenes, and folders of them with their captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...training.cache.progress import progress
from .scenes import COLOURS, GROUND, SIZE, Group, Scene, Split, caption, sample_scene

_SUPERSAMPLING = 4


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw the scene, SIZE x SIZE RGB; `rng` decides sizes and places within the rules."""
    scale = _SUPERSAMPLING
    canvas = Image.new("RGB", (SIZE * scale, SIZE * scale), GROUND)
    pen = ImageDraw.Draw(canvas)
    for group, centres in zip(scene.groups, _layout(scene, rng), strict=True):
        radius = rng.uniform(7.0, 8.2)
        for x, y in centres:
            _draw(pen, group, x * scale, y * scale, radius * scale)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def write_folder(path: Path, count: int, seed: int, split: Split = "train") -> list[Scene]:
    """Write `count` pairs ``000001.png`` + ``000001.txt`` and return their scenes.

    The same arguments give the same files. Files of that name are replaced.
    """
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    scenes = []
    for index in progress(range(1, count + 1), label="pictures", unit="pair"):
        scene = sample_scene(rng, split)
        render(scene, rng).save(path / f"{index:06}.png")
        (path / f"{index:06}.txt").write_text(caption(scene) + "\n", encoding="utf-8")
        scenes.append(scene)
    return scenes


def _layout(scene: Scene, rng: np.random.Generator) -> list[list[tuple[float, float]]]:
    """Centres of every group's objects, in pixels.

    A group is a row across its relation's axis: beside one another under "above", on top of
    one another under "left of". A single group lies anywhere, along either axis.
    """
    if scene.second is None:
        vertical = bool(rng.integers(2))
        return [_row(scene.first.number, rng.uniform(14, SIZE - 14), vertical, rng)]
    near, far = rng.uniform(13, 19), SIZE - rng.uniform(13, 19)
    first, second = (near, far) if scene.relation in ("left of", "above") else (far, near)
    vertical = scene.relation in ("left of", "right of")
    return [
        _row(scene.first.number, first, vertical, rng),
        _row(scene.second.number, second, vertical, rng),
    ]


def _row(
    number: int, across: float, vertical: bool, rng: np.random.Generator
) -> list[tuple[float, float]]:
    spacing = rng.uniform(19.5, 21.0)
    # Less than the distance between two groups, so that a relation has one reading.
    middle = SIZE / 2 + (rng.uniform(-10, 10) if number < 3 else 0)
    centres = []
    for index in range(number):
        along = middle + (index - (number - 1) / 2) * spacing
        aside = across + rng.uniform(-1.5, 1.5)
        centres.append((aside, along) if vertical else (along, aside))
    return centres


def _draw(pen: ImageDraw.ImageDraw, group: Group, x: float, y: float, radius: float) -> None:
    fill = COLOURS[group.colour]
    if group.shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif group.shape == "square":
        half = radius * 0.9
        pen.rectangle((x - half, y - half, x + half, y + half), fill=fill)
    else:
        corners = [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)]
        pen.polygon(corners, fill=fill)
