"""A trial of two arms, scored and reported."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import notes, pieces
from .pieces import OURS, SECOND, THIRD

_PROMPTS = """
[number]
three purple circles
two black squares
three green triangles
two yellow triangles
[colour]
a red circle left of a green square
a blue square above a yellow circle
a purple triangle below a red square
a black circle right of a yellow triangle
[position]
two red circles right of a blue triangle
a yellow square above two purple circles
two green squares left of a black circle
a blue triangle below three red squares
"""

_FILES = (
    notes.DEMO_FILES.strip().removesuffix("Then press **R** on the canvas.")
    + """
What scores is a small CLIP that knows this world: copy the folder **demo/models/small_clip** to

```
ComfyUI/models/softrepa_scorers/clip-vit-large-patch14/
```

Then press **R** on the canvas.
"""
)

_TRIAL = """
**SoftREPA Trial** paints every prompt and seed twice, from equal noise: with the bare model and \
with the adapter. Stop it whenever you like; it goes on at the next picture. Up to eight models \
can be held against the first: other versions, other strengths, a LoRA.

**Score SoftREPA Trial** holds each picture against its prompt. **SoftREPA Report** says whether \
the adapter is better, how sure that is, and where it is worse. The whole report lies beside the \
pictures:

```
ComfyUI/output/softrepa/trials/
```

Twelve prompts show how it works, and decide nothing: a hundred or more do.
"""

_VOTE = """
A score is not people's judgement. Open **/softrepa/vote** on this server, or **Blind votes** in \
the side bar: two pictures of one prompt, and nobody sees which is which. Then run the report \
again.

210 votes for one or the other find a true 60 %, 97 find 65 %.
"""

_OWN = """
**Your model and adapter**: choose them in the two loaders, and set size, steps and guidance (cfg) \
in the trial as you work. Adapters lie in **ComfyUI/models/softrepa/**.

**Your prompts**: one a line, **suite-en** for 240 that come with the pack, or the name of a file \
in ComfyUI/input. Take another **name** for every trial.

**Your scorer**: for real pictures *clip* with CLIP's own file, *pickscore*, *imagereward* or \
another. Where its file is missing, the message says which one, from where, and into which folder.
"""


def does_it_help() -> Workflow:
    flow = Workflow("softrepa_does_it_help")
    model = models.DEMO
    loaded = pieces.load(flow, model)
    # As the demo's adapter is best.
    apply = pieces.apply_adapter(flow, loaded, strength=0.8, negative_share=0.6)
    trial = flow.node(
        "SoftREPATrial",
        (THIRD, 0),
        {
            "model_1": loaded.model,
            "model_2": apply["MODEL"],
            "vae": loaded.vae,
            "clip": loaded.clip,
        },
        prompts=_PROMPTS.strip(),
        seeds="1",
        width=model.side,
        height=model.side,
        arm_names="bare\nSoftREPA",
        **model.sampling,
    )
    flow.group("3 · Paint both, at equal seeds", [trial], OURS)
    left = THIRD + 490
    scorer = flow.node("SoftREPALoadScorer", (left, 0))
    links = {"trial": trial["trial"], "scorer": scorer["scorer"]}
    scored = flow.node("SoftREPAScoreTrial", (left, 190), links)
    flow.group("4 · Score", [scorer, scored], OURS)
    report = flow.node("SoftREPAReport", (left + 410, 0), {"trial": scored["trial"]})
    flow.group("5 · Does it help?", [report], OURS)
    pieces.files_note(flow, _FILES)
    flow.note("What happens", (SECOND, apply.bottom + 80), _TRIAL)
    flow.note("Your own eyes", (left, 430), _VOTE)
    flow.note("Your own files", (left + 410, 640), _OWN, width=560)
    return flow
