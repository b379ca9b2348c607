"""What several workflows' notes say, beside where the files come from."""

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
