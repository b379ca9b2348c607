"""Strength over time, and in some blocks only."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import pieces
from .pieces import FOURTH, OURS, SECOND, THIRD

_SCHEDULE = """
**keyframes** are pairs of *share of the sampling* : *strength*. **0:1, 0.5:1, 1:0** is full \
strength for the first half, then less and less. Drag the points of the curve, or type. The curve \
multiplies the **strength** of Apply SoftREPA.

**interpolation**: a straight line between points, a smooth one, or steps.

**layers** of the schedule: the blocks that the curve is for; empty for all.
"""

_TRY = """
**Try** the curve the other way round (**0:0, 0.5:1, 1:1**): the picture is arranged by the bare \
model, and the adapter sees to colours and details.

More than one curve: connect another **SoftREPA Schedule** to this one's input, with other blocks \
in its **layers**.
"""

_BLOCKS = """
**layers** of Apply SoftREPA: **0-1** uses the first two blocks only, which keeps SD3 from \
painting too many things. Click the blocks in the node, or type: **0-2,4**, or with weights \
**0-1:1.0,2-4:0.5**.

SD1.5 and SDXL have **input**, **middle**, **output** and single blocks such as **input.4**.
"""


def schedule_and_blocks() -> Workflow:
    flow = Workflow("softrepa_schedule_and_blocks")
    model = models.SD3
    loaded = pieces.load(flow, model)
    schedule = flow.node(
        "SoftREPASchedule", (SECOND, 0), keyframes="0:1, 0.5:1, 1:0", size=(340, 430)
    )
    flow.group("2 · Strength over time", [schedule], OURS)
    links = {
        "model": loaded.model,
        "adapter": loaded.adapter["adapter"],
        "schedule": schedule["schedule"],
    }
    apply = flow.node("SoftREPAApply", (THIRD, 0), links, layers="0-1")
    flow.group("3 · In blocks 0 and 1", [apply], OURS)
    left = FOURTH - 20
    prompts = pieces.write_prompts(
        flow, loaded, left, "four oranges in a white bowl on a blue cloth, soft light"
    )
    latent = pieces.empty_latent(flow, model, (left, 430))
    flow.group("4 · Prompts and size", [prompts.positive, prompts.negative, latent])
    sampler = pieces.sample(flow, model, (left + 410, 0), apply["MODEL"], prompts, latent)
    pieces.finish(flow, loaded, sampler, "softrepa_schedule", first=5, picture=(340, 400))
    pieces.files_note(flow, model.files_note())
    flow.note("The schedule", (SECOND, 540), _SCHEDULE + _TRY)
    flow.note("The blocks", (THIRD, 540), _BLOCKS)
    return flow
