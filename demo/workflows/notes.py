"""What the notes in the example workflows say, beside where the files come from."""

from __future__ import annotations

COMPARE = """
**Off and on**: select **Apply SoftREPA**, press Ctrl+B (bypass) and run again. The seed is fixed, \
so only the adapter differs.
"""

STRENGTH = """
**strength**: 1 is the adapter as trained, 0 the bare model. Values between take longer, because \
the patched blocks are computed twice.
"""

WINDOW = """
**start_percent, end_percent**: the share of the sampling in which it acts. 0 to 0.5 arranges the \
picture by the prompt and leaves the details to the bare model.
"""

SD3_LAYERS = """
**layers**: empty for all blocks. Too many things in the picture? SD3 is known for that with a \
SoftREPA adapter: write **0-1**.
"""

UNET_LAYERS = """
**layers**: empty for the blocks it was trained for. Else **input**, **middle**, **output** or one \
block (**input.4**), each with a weight if you like: **input:0.5**.
"""

CFG_PLUS_PLUS = """
**CFG++ and an adapter.** The sampler is **euler_cfg_pp**: guidance that puts back the noise of \
the negative prompt, with fewer harsh colours. It costs nothing, and the adapter adds to it.

**cfg** is another scale here: **1 to 2** is usual, where ordinary guidance has 7. Other samplers \
of this kind end in **_cfg_pp** as well.
"""

ATTEND = """
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

SD3_SETTINGS = """
28 steps at guidance (cfg) 4 are the authors' settings. SD3.5 checkpoints load in the same way; \
their adapter is for SD3 medium, so train one for SD3.5.
"""

SDXL_SETTINGS = """
30 steps at guidance (cfg) 7, 1024 x 1024, are the authors' settings. Fine-tuned SDXL checkpoints \
take the same adapter.
"""

SD15_SETTINGS = """
30 steps at guidance (cfg) 7, 512 x 512, are the authors' settings. Fine-tuned SD1.5 checkpoints \
take the same adapter.
"""

DIT_LAYERS = """
**layers**: empty for the blocks it was trained for. Else numbers, with weights if you like: \
**0-9:1, 10-18:0.5**.
"""

FLUX_1_SETTINGS = """
20 steps, *FluxGuidance* 3.5 and cfg 1 are the usual settings of Flux.1 dev; at cfg 1 the negative \
prompt is not looked at. Train the adapter for dev; schnell has the same network and takes it, at \
4 steps. fp8 files do as well.
"""

Z_IMAGE_SETTINGS = """
25 steps at cfg 4 are the usual settings of Z-Image. Train the adapter for this base model, not \
for Turbo; Turbo has the same network and takes it, at 8 steps and cfg 1.
"""

ANIMA_SETTINGS = """
30 steps at cfg 4 are the usual settings of Anima. **Adapters of anima_lora** load as they are: \
choose **anima** as *architecture* in Load SoftREPA Adapter where it asks. They act at the time \
step that their trainer meant.
"""

PROMPTS = """
Prompts that say **which** colour, **how many** and **where** show most.
"""

BEFORE_AFTER = """
Both samplers have the same prompt, settings and seed; only the upper one's model comes straight \
from the checkpoint. What differs between the pictures is the adapter's doing.

One picture proves little. Set **Seed** to *increment* and run ten.

For SDXL or SD1.5, choose their checkpoint and adapter, and set guidance (cfg) to 7.
"""

ONE_PROMPT = """
**Apply SoftREPA** puts the adapter on both prompts, as it was trained. This node puts it on one: \
here on the positive prompt, while the negative one stays plain.

Use it for one region (after *Conditioning (Set Area)*) or for one part of a prompt schedule.

It takes longer than **Apply SoftREPA**: ComfyUI computes the two prompts one after the other.
"""

BANK = """
**bank**: an adapter trained with AGSM holds two sets of tokens. Leave *positive* here. To use the \
other one, put a second node behind the negative prompt and choose *negative*.
"""

SCHEDULE = """
**keyframes** are pairs of *share of the sampling* : *strength*. **0:1, 0.5:1, 1:0** is full \
strength for the first half, then less and less. Drag the points of the curve, or type. The curve \
multiplies the **strength** of Apply SoftREPA.

**interpolation**: a straight line between points, a smooth one, or steps.

**layers** of the schedule: the blocks that the curve is for; empty for all.
"""

BLOCKS = """
**layers** of Apply SoftREPA: **0-1** uses the first two blocks only, which keeps SD3 from \
painting too many things. Click the blocks in the node, or type: **0-2,4**, or with weights \
**0-1:1.0,2-4:0.5**.

SD1.5 and SDXL have **input**, **middle**, **output** and single blocks such as **input.4**.
"""

SCHEDULE_TRY = """
**Try** the curve the other way round (**0:0, 0.5:1, 1:1**): the picture is arranged by the bare \
model, and the adapter sees to colours and details.

More than one curve: connect another **SoftREPA Schedule** to this one's input, with other blocks \
in its **layers**.
"""

DEMO_FILES = """
A model of 3 blocks that paints circles, squares and triangles, and an adapter for it. Small \
enough for any computer; no graphics card needed.

Both are made in a clone of this pack's repository:

```
python noxfile.py demo
```

Copy what it leaves in **demo/output/comfyui/models/** and name both files \
**softrepa_demo.safetensors**:

```
ComfyUI/models/checkpoints/
ComfyUI/models/softrepa/
```

Then press **R** on the canvas.
"""

DEMO_TRY = """
The model was trained on careless captions, so it often gets colours, numbers and places wrong. \
The adapter mends some of that.

Its words: *a, two, three*; *red, green, blue, yellow, purple, black*; *circle, square, triangle*; \
*left of, right of, above, below*. For example:

- three green triangles above a black circle
- a yellow square right of two purple circles

Pictures are 64 x 64. Both samplers have the same seed: set it to *increment* and run a few times.
"""

TRIAL_PROMPTS = """
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

TRIAL_FILES = (
    DEMO_FILES.strip().removesuffix("Then press **R** on the canvas.")
    + """
What scores is a small CLIP that knows this world: copy the folder **demo/small_clip** to

```
ComfyUI/models/softrepa_scorers/clip-vit-large-patch14/
```

Then press **R** on the canvas.
"""
)

TRIAL = """
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

TRIAL_VOTE = """
A score is not people's judgement. Open **/softrepa/vote** on this server, or **Blind votes** in \
the side bar: two pictures of one prompt, and nobody sees which is which. Then run the report \
again.

210 votes for one or the other find a true 60 %, 97 find 65 %.
"""

TRIAL_OWN = """
**Your model and adapter**: choose them in the two loaders, and set size, steps and guidance (cfg) \
in the trial as you work. Adapters lie in **ComfyUI/models/softrepa/**.

**Your prompts**: one a line, **suite-en** for 240 that come with the pack, or the name of a file \
in ComfyUI/input. Take another **name** for every trial.

**Your scorer**: for real pictures *clip* with CLIP's own file, *pickscore*, *imagereward* or \
another. Where its file is missing, the message says which one, from where, and into which folder.
"""

EDITING = """
The first sampler paints a picture of the **source** prompt. **SoftREPA FlowEdit** then changes it \
to what the **target** prompt says, and keeps the rest. Say both in the same words, with the \
change in them.

**Your own picture**: *Load Image* → *VAE Encode* in place of the first sampler, and a source \
prompt that tells what it shows.

**Only a part of it**: *Set Latent Noise Mask* before FlowEdit; outside of the mask nothing changes.
"""

EDITING_TRY = """
**n_max**: so many of the 50 steps take part. Too much changes? 30, 27, 24. Too little? 36.

**target_cfg** is the other knob. With the adapter less is enough: its authors use 9 with n_max 30 \
and the second **target_guidance**.

**method**: *FlowAlign* keeps more of the picture; set **steps** and **n_max** to 33.

**Off and on**: select **Apply SoftREPA**, press Ctrl+B and run again; the seed is fixed.
"""
TRAIN_FILES = """
A model of 3 blocks that paints circles, squares and triangles, and 400 pictures with captions to \
train on. Small enough for any computer; no graphics card needed.

Both are made in a clone of this pack's repository:

```
python noxfile.py demo
```

Then copy the two folders **models** and **input** from **demo/output/comfyui/** into your \
ComfyUI folder, over those that are there, and press **R** on the canvas.
"""

TRAIN_PROMPTS = """
two red circles right of a blue triangle
three green triangles above a black circle
"""

TRAIN_LOOK = """
**SoftREPA Dataset** shows a folder of ComfyUI's **input**: pictures, captions, in red a nearly \
right caption that training sets against each, and what is left out and why. Look before you train.
"""

TRAIN_RUN = """
Press **Run**. **Train SoftREPA Adapter** draws loss and accuracy while it learns, and every 50 \
steps paints two prompts with what it has learned so far, beside the bare model's pictures.

**Stop** it whenever you like: **Run** again goes on where it was, also after a restart. When it \
is done, **Run** trains nothing anew, and only paints.

The adapter lies in **ComfyUI/models/softrepa/**, where **Load SoftREPA Adapter** lists it: for \
daily use, put that node in place of the trainer.
"""

TRAIN_OWN = """
**Your pictures**: make a folder in **ComfyUI/input/**, with a **.txt** beside each picture that \
says what is visible. Write its name into **folder** of both nodes. Some hundred are a start.

**Your model**: SD1.5, SDXL or SD3; choose it in the loader, set **resolution** to 0 and take \
another **name**. For SDXL and SD1.5 raise **cfg** to 7, and paint at 1024 or 512.

**strength** 0.5 is best for SoftREPA on the demo's model; compare with 1 on yours.

All else that can be set: connect **SoftREPA Train Settings** to **settings**.
"""
