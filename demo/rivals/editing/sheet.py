"""Some edits, to look at: a row the sources, one the targets drawn, then each way without and with
the adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ... import world
from .arms import USES, WAYS, Arm
from .bench import Bench

COUNT = 24
_SCALE = 2


def paint(file: Path) -> None:
    """Writes the sheet as a PNG."""
    bench = Bench.prepared(COUNT)
    rng = np.random.default_rng(0)
    rows = [bench.pictures]
    rows.append(np.stack([np.asarray(world.render(one.target, rng)) for one in bench.edits]))
    for way in WAYS:
        for use in USES[:2]:
            rows.append(bench.edited(Arm(**way, **use)))
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    size = (sheet.shape[1] * _SCALE, sheet.shape[0] * _SCALE)
    Image.fromarray(sheet).resize(size, Image.Resampling.NEAREST).save(file)
