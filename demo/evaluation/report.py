"""What a run of the demo leaves to look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...evaluation.pictures import contact_sheet
from ...evaluation.trial import Sampling
from .. import world
from ..world.judge import describe, judge, look
from .comparison import Comparison
from .evaluate import verdicts
from .table import table

SHOWN = 24
"""Prompts in contact_sheet.png: the first ones."""

CHANGED = 12
"""Pictures in changed.png: the first ones, gained or lost."""


def check_held_out(captions: Iterable[str], scenes: Sequence[world.Scene]) -> None:
    """Raises ValueError where a prompt of the evaluation, in either telling, is a training caption.

    captions: all of the training folder. A scene can be told from either of its groups.
    """
    trained = set(captions)
    for scene in scenes:
        for told in (scene, world.retold(scene)):
            if world.caption(told) in trained:
                raise ValueError(
                    f'"{world.caption(told)}" is in the training folder: delete the folder and '
                    "run the demo again."
                )


def write_first(folder: Path, comparison: Comparison) -> Path:
    """first.png; returns its path."""
    path = folder / "first.png"
    _sheet(comparison).save(path)
    return path


def write(
    folder: Path,
    comparison: Comparison,
    sampling: Sampling,
    adapter: Path,
    used: Mapping[str, float],
) -> str:
    """contact_sheet.png, changed.png, results.md and results.json; returns the table.

    used: how strongly the adapter was, by the names of Apply SoftREPA's inputs.
    """
    before = verdicts(list(comparison.before), comparison.scenes)
    after = verdicts(list(comparison.after), comparison.scenes)
    _sheet(comparison).save(folder / "contact_sheet.png")
    changed = [at for at, (b, a) in enumerate(zip(before, after, strict=True)) if b.all != a.all]
    if changed:
        _sheet(comparison.of(changed[:CHANGED])).save(folder / "changed.png")
    rates, how = table(before, after), [f"{name} {value:g}" for name, value in used.items()]
    (folder / "results.md").write_text(
        f"# {adapter.stem}\n\n{len(before)} held-out prompts, seeds 0 to {len(before) - 1}, "
        f"{', '.join(how)}, guidance {sampling.guidance:g}, {sampling.steps} steps of "
        f"{sampling.sampler}; 95 % intervals; p of McNemar's exact test.\n\n{rates}\n"
    )
    entries = [
        {"prompt": world.caption(scene), "seed": seed, "before": b.as_dict(), "after": a.as_dict()}
        for seed, (scene, b, a) in enumerate(zip(comparison.scenes, before, after, strict=True))
    ]
    (folder / "results.json").write_text(json.dumps(entries, indent=1) + "\n")
    return rates


def _sheet(comparison: Comparison) -> Image.Image:
    """Both pictures of the first prompts; what is right in green, what is wrong in red."""
    before, after = comparison.before[:SHOWN], comparison.after[:SHOWN]
    return contact_sheet.draw(
        [
            contact_sheet.Entry(
                world.caption(scene),
                [_shown("without", scene, plain), _shown("with", scene, adapted)],
            )
            for scene, plain, adapted in zip(comparison.scenes, before, after, strict=False)
        ],
        side=2 * world.SIZE,
    )


def _shown(name: str, scene: world.Scene, picture: NDArray[np.uint8]) -> contact_sheet.Shown:
    colour = contact_sheet.RIGHT if judge(picture, scene).all else contact_sheet.WRONG
    seen = describe(look(picture))
    return contact_sheet.Shown(Image.fromarray(picture), f"{name} the adapter", seen, colour)
