"""An adapter on the positive prompt only."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import pieces
from .pieces import FOURTH, OURS, SECOND, THIRD, Prompts

_ONE_PROMPT = """
**Apply SoftREPA** puts the adapter on both prompts, as it was trained. This node puts it on one: \
here on the positive prompt, while the negative one stays plain.

Use it for one region (after *Conditioning (Set Area)*) or for one part of a prompt schedule.

It takes longer than **Apply SoftREPA**: ComfyUI computes the two prompts one after the other.
"""

_BANK = """
**bank**: an adapter trained with AGSM holds two sets of tokens. Leave *positive* here. To use the \
other one, put a second node behind the negative prompt and choose *negative*.
"""


def one_prompt() -> Workflow:
    flow = Workflow("softrepa_one_prompt_only")
    model = models.SD3
    loaded = pieces.load(flow, model)
    prompts = pieces.write_prompts(
        flow, loaded, SECOND, "a red cube on top of a green ball beside a blue cone, studio photo"
    )
    latent = pieces.empty_latent(flow, model, (SECOND, 430))
    flow.group("2 · Prompts and size", [prompts.positive, prompts.negative, latent])
    links = {
        "conditioning": prompts.positive["CONDITIONING"],
        "adapter": loaded.adapter["adapter"],
    }
    apply = flow.node("SoftREPAApplyConditioning", (THIRD + 20, 0), links)
    flow.group("3 · On one prompt only", [apply], OURS)
    with_adapter = Prompts(apply, prompts.negative)
    sampler = pieces.sample(flow, model, (FOURTH, 0), loaded.model, with_adapter, latent)
    pieces.finish(flow, loaded, sampler, "softrepa_one_prompt")
    pieces.files_note(flow, model.files_note())
    flow.note("What to try", (THIRD + 20, 585), _ONE_PROMPT + _BANK)
    return flow
