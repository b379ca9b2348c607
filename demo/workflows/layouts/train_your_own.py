"""From a folder of pictures to an adapter, and what it does."""

from __future__ import annotations

from .. import models
from ..graph import Workflow
from . import pieces
from .pieces import FIRST, OURS, SECOND, Loaded

_FILES = """
A model of 3 blocks that paints circles, squares and triangles, and 400 pictures with captions to \
train on. Small enough for any computer; no graphics card needed.

Both are made in a clone of this pack's repository:

```
python noxfile.py demo
```

Then copy the two folders **models** and **input** from **demo/output/comfyui/** into your \
ComfyUI folder, over those that are there, and press **R** on the canvas.
"""

_PROMPTS = """
two red circles right of a blue triangle
three green triangles above a black circle
"""

_LOOK = """
**SoftREPA Dataset** shows a folder of ComfyUI's **input**: pictures, captions, in red a nearly \
right caption that training sets against each, and what is left out and why. Look before you train.
"""

_RUN = """
Press **Run**. **Train SoftREPA Adapter** draws loss and accuracy while it learns, and every 50 \
steps paints two prompts with what it has learned so far, beside the bare model's pictures.

**Stop** it whenever you like: **Run** again goes on where it was, also after a restart. When it \
is done, **Run** trains nothing anew, and only paints.

The adapter lies in **ComfyUI/models/softrepa/**, where **Load SoftREPA Adapter** lists it: for \
daily use, put that node in place of the trainer.
"""

_OWN = """
**Your pictures**: make a folder in **ComfyUI/input/**, with a **.txt** beside each picture that \
says what is visible. Write its name into **folder** of both nodes. Some hundred are a start.

**Your model**: SD1.5, SDXL or SD3; choose it in the loader, set **resolution** to 0 and take \
another **name**. For SDXL and SD1.5 raise **cfg** to 7, and paint at 1024 or 512.

**strength** 0.8 with **negative_share** 0.6 is best for SoftREPA on the demo's model; compare \
with 1 and 1 on yours.

All else that can be set: connect **SoftREPA Train Settings** to **settings**.
"""


def train_your_own() -> Workflow:
    flow = Workflow("softrepa_train_your_own")
    model = models.DEMO
    checkpoint = flow.node("CheckpointLoaderSimple", (FIRST, 0), ckpt_name=model.checkpoint)
    flow.group("1 · Model", [checkpoint])
    look = flow.node("SoftREPADataset", (SECOND, 0), folder=models.DEMO_FOLDER, count=8)
    flow.group("2 · Look at the pictures", [look], OURS)
    links = {name: checkpoint[name.upper()] for name in ("model", "clip", "vae")}
    train = flow.node(
        "SoftREPATrain",
        (SECOND + 450, 0),
        links,
        name="my_first_adapter",
        folder=models.DEMO_FOLDER,
        steps=200,
        resolution=model.side,
        preview_every=50,
        preview_prompts=_PROMPTS.strip(),
    )
    flow.group("3 · Train", [train], OURS)
    left = SECOND + 980
    loaded = Loaded(checkpoint["MODEL"], checkpoint["CLIP"], checkpoint["VAE"], train)
    apply = pieces.apply_adapter(
        flow, loaded, strength=0.8, left=left, number=4, negative_share=0.6
    )
    pieces.compare(
        flow, model, loaded, apply, left + 390, "three red squares left of a yellow square", 5
    )
    flow.note("Files", (FIRST, 195), _FILES)
    flow.note("Look first", (SECOND, look.bottom + 80), _LOOK, width=400)
    flow.note("Train, stop, go on", (left, apply.bottom + 80), _RUN)
    flow.note("Your own", (left + 390, 830), _OWN, width=720)
    return flow
