"""What a bare base shows at each guidance scale: the table of its README."""

from __future__ import annotations

from .. import world
from ..evaluation.evaluate import rates, sampling, verdicts
from ..world.judge import ATTRIBUTES
from .short.forward import Short
from .short.sd3 import Model

SCALES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


def table(model: Short | None = None) -> str:
    """A row a scale: the share of the sweep's pictures that are right, with Wilson's interval."""
    model = model or Model.load()
    scenes = world.held_out_scenes(world.SWEPT, world.SWEPT_SEED)
    prompts = [world.caption(scene) for scene in scenes]
    names = ("all", *(name for name in ATTRIBUTES if name != "all"))
    lines = [f"| guidance | {' | '.join(names)} |", "|" + "---|" * (1 + len(names))]
    for scale in SCALES:
        pictures = model.paint(prompts, range(len(prompts)), settings=sampling(scale))
        found = rates(verdicts(list(pictures), scenes))
        cells = " | ".join(str(found[name]) for name in names)
        lines.append(f"| {scale:g} | {cells} |")
    return "\n".join(lines)
