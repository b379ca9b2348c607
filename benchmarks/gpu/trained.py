"""Runs of the trainer to compare: what they train on, and how far their tokens are apart."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image


def flags(folder: Path, checkpoint: Path, side: int, count: int) -> list[str]:
    """Those that all runs have in common, after drawing so many pictures of noise for them."""
    pictures = folder / "pictures"
    pictures.mkdir()
    numbers = numpy.random.default_rng(1)
    for index in range(count):
        picture = numbers.integers(0, 255, (side, side, 3), dtype=numpy.uint8)
        Image.fromarray(picture).save(pictures / f"{index}.png")
        (pictures / f"{index}.txt").write_text(f"a picture, the {index}th", encoding="utf-8")
    return [
        *(f"--checkpoint={checkpoint}", f"--data={pictures}", f"--cache={folder / 'cache'}"),
        *(f"--resolution={side}", "--no-tensorboard", "--save-every=1"),
    ]


def apart(one: Path, other: Path) -> str:
    """How far the tokens of two runs are apart, relative to their length."""
    from safetensors.torch import load_file

    files = [each / "adapter.safetensors" for each in (one, other)]
    if not all(file.is_file() for file in files):
        return "FAILED: there is no adapter"
    first, second = map(load_file, files)
    if all(torch.equal(first[key], second[key]) for key in first):
        return "the same bits"
    errors = [
        float((first[key] - second[key]).norm() / first[key].norm())
        for key in first
        if first[key].is_floating_point() and first[key].any()
    ]
    return f"relative difference at most {max(errors):.1e}"
