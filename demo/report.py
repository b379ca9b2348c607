"""What a run of the demo leaves to look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import world
from .comparison import Comparison
from .contact_sheet import contact_sheet
from .evaluate import Sampling, verdicts
from .table import table

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
    contact_sheet(comparison).save(path)
    return path


def write(
    folder: Path, comparison: Comparison, sampling: Sampling, adapter: Path, strength: float
) -> str:
    """contact_sheet.png, changed.png, results.md and results.json; returns the table."""
    before = verdicts(list(comparison.before), comparison.scenes)
    after = verdicts(list(comparison.after), comparison.scenes)
    contact_sheet(comparison).save(folder / "contact_sheet.png")
    changed = [at for at, (b, a) in enumerate(zip(before, after, strict=True)) if b.all != a.all]
    if changed:
        contact_sheet(comparison.of(changed[:CHANGED])).save(folder / "changed.png")
    rates = table(before, after)
    (folder / "results.md").write_text(
        f"# {adapter.stem}\n\n{len(before)} held-out prompts, seeds 0 to {len(before) - 1}, "
        f"strength {strength:g}, guidance {sampling.guidance:g}, {sampling.steps} steps of "
        f"{sampling.sampler}; 95 % intervals; p of McNemar's exact test.\n\n{rates}\n"
    )
    entries = [
        {"prompt": world.caption(scene), "seed": seed, "before": b.as_dict(), "after": a.as_dict()}
        for seed, (scene, b, a) in enumerate(zip(comparison.scenes, before, after, strict=True))
    ]
    (folder / "results.json").write_text(json.dumps(entries, indent=1) + "\n")
    return rates
