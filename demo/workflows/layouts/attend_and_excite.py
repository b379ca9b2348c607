"""A prompt whose words are looked after while it is painted."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import notes, pieces
from .pieces import FIFTH, FOURTH, GREEN, OURS, SECOND, THIRD

_ATTEND = """
**Attend-and-Excite** moves the picture, while it is painted, until each thing of the prompt is \
attended to. It stands after the adapter and before the sampler, and reads the same prompt as the \
sampler: so one text goes to both.

**words**: empty, and a simple rule finds the nouns. Or write them: **brown turtle, yellow bowl**.

**loss**: *published* for things that are left out, *pairs* for colours at the wrong thing, \
*overlap* for things that melt together. Each has a **step_size** of its own: with the last two \
begin at 3.

**Off and on**: select it, press Ctrl+B (bypass) and run again. Steps in which it acts take two to \
five times as long.
"""


def attend_and_excite() -> Workflow:
    flow = Workflow("softrepa_attend_and_excite")
    model = models.SD15
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    text = flow.node(
        "PrimitiveStringMultiline",
        (THIRD, 0),
        title="Prompt, for two nodes",
        colour=GREEN,
        value="a brown turtle beside a yellow bowl, a blue cup behind them, photograph",
    )
    top = text.bottom + 70
    prompts = pieces.write_prompts(flow, loaded, THIRD, text["STRING"], "Its encoding", top)
    latent = pieces.empty_latent(flow, model, (THIRD, prompts.negative.bottom + 70))
    flow.group("3 · Prompts and size", [text, prompts.positive, prompts.negative, latent])
    links = {"model": apply["MODEL"], "clip": loaded.clip, "prompt": text["STRING"]}
    led = flow.node("SoftREPAAttendAndExcite", (FOURTH, 0), links)
    flow.group("4 · Look after its words", [led], OURS)
    sampler = pieces.sample(flow, model, (FIFTH + 50, 0), led["MODEL"], prompts, latent)
    pieces.finish(flow, loaded, sampler, flow.name, first=5)
    files = model.files_note("the demo world's small U-Net (demo/models/unet_base)")
    pieces.files_note(flow, files, loaded.adapter.bottom + 65)
    flow.note("The adapter", (SECOND, 540), notes.STRENGTH + notes.WINDOW + notes.UNET_LAYERS)
    flow.note("What happens, what to try", (FOURTH, led.bottom + 150), _ATTEND)
    return flow
