"""A picture that is painted, and then edited."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import pieces
from .pieces import FIFTH, FOURTH, GREEN, OURS, SECOND, SIXTH, THIRD

_EDITING = """
The first sampler paints a picture of the **source** prompt. **SoftREPA FlowEdit** then changes it \
to what the **target** prompt says, and keeps the rest. Say both in the same words, with the \
change in them.

**Your own picture**: *Load Image* → *VAE Encode* in place of the first sampler, and a source \
prompt that tells what it shows.

**Only a part of it**: *Set Latent Noise Mask* before FlowEdit; outside of the mask nothing changes.
"""

_TRY = """
**n_max**: so many of the 50 steps take part. Too much changes? 30, 27, 24. Too little? 36.

**target_cfg** is the other knob. With the adapter less is enough: its authors use 9 with n_max 30 \
and the second **target_guidance**.

**method**: *FlowAlign* keeps more of the picture; set **steps** and **n_max** to 33.

**Off and on**: select **Apply SoftREPA**, press Ctrl+B and run again; the seed is fixed.
"""


def editing() -> Workflow:
    flow = Workflow("softrepa_editing")
    model = models.SD3
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    text = "a red apple beside a blue mug on a wooden table, morning light"
    source = pieces.write_prompts(flow, loaded, THIRD, text, "Source prompt")
    target = flow.node(
        "CLIPTextEncode",
        (THIRD, 430),
        {"clip": loaded.clip},
        title="Target prompt",
        size=(360, 170),
        colour=GREEN,
        text=text.replace("red apple", "green pear"),
    )
    latent = pieces.empty_latent(flow, model, (THIRD, 690))
    flow.group("3 · Source, negative, target", [source.positive, source.negative, target, latent])
    shown = "Source picture"
    sampler = pieces.sample(flow, model, (FOURTH, 0), apply["MODEL"], source, latent, title=shown)
    edited = flow.node(
        "SoftREPAFlowEdit",
        (FOURTH, 420),
        {
            "model": apply["MODEL"],
            "source": source.positive["CONDITIONING"],
            "target": target["CONDITIONING"],
            "negative": source.negative["CONDITIONING"],
            "latent_image": sampler["LATENT"],
        },
        seed=1,
    )
    flow.group("4 · Paint", [sampler])
    flow.group("5 · Edit", [edited], OURS)
    for left, latents, title in (
        (FIFTH + 40, sampler, "6 · Source"),
        (SIXTH + 40, edited, "7 · Edited"),
    ):
        decoded = pieces.decode(flow, loaded, (left, 0), latents)
        prefix = f"{flow.name}_{title.split()[2].lower()}"
        flow.group(
            title, [decoded, pieces.save_picture(flow, (left, 125), decoded, prefix, (340, 400))]
        )
    pieces.files_note(flow, model.files_note())
    flow.note("What happens", (SECOND, 540), _EDITING)
    flow.note("What to try", (FIFTH + 40, 620), _TRY, width=560)
    return flow
