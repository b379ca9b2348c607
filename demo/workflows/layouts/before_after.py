"""One prompt and seed without and with an adapter, side by side."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from ..models import Model
from . import notes, pieces
from .pieces import SECOND, THIRD

_BEFORE_AFTER = """
Both samplers have the same prompt, settings and seed; only the upper one's model comes straight \
from the checkpoint. What differs between the pictures is the adapter's doing.

One picture proves little. Set **Seed** to *increment* and run ten.

For SDXL or SD1.5, choose their checkpoint and adapter, and set guidance (cfg) to 7.
"""

_PROMPTS = """
Prompts that say **which** colour, **how many** and **where** show most.
"""

_DEMO_TRY = """
The model was trained on careless captions, so it often gets colours, numbers and places wrong. \
The adapter mends some of that.

Its words: *a, two, three*; *red, green, blue, yellow, purple, black*; *circle, square, triangle*; \
*left of, right of, above, below*. For example:

- three green triangles above a black circle
- a yellow square right of two purple circles

Pictures are 64 x 64. Both samplers have the same seed: set it to *increment* and run a few times.
"""


def before_after() -> Workflow:
    prompt = "two green apples above a purple plate, a silver spoon to the right of the plate"
    files = models.SD3.files_note()
    return _before_after(
        "softrepa_before_after", models.SD3, prompt, files, _BEFORE_AFTER + _PROMPTS
    )


def demo_world() -> Workflow:
    prompt = "two red circles right of a blue triangle"
    return _before_after("softrepa_demo_world", models.DEMO, prompt, notes.DEMO_FILES, _DEMO_TRY)


def _before_after(name: str, model: Model, prompt: str, files: str, text: str) -> Workflow:
    flow = Workflow(name)
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    pieces.compare(flow, model, loaded, apply, THIRD, prompt, 3)
    pieces.files_note(flow, files)
    flow.note("What to try", (SECOND, 540), text)
    return flow
