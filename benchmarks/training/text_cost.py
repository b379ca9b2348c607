"""What `--cache-texts own` costs a step: a text embedded when it is drawn, against predictions.

    COMFYUI_PATH=... python benchmarks/training/text_cost.py [--timed]

Counted on shapes, in floating-point operations of matrices, convolutions and attention: a forward
pass of the text encoders over one caption, and a prediction with its backward pass at the family's
resolution, all in full size. From these the share of a step of 16 images with `--hard-share 0.5`,
whose hard captions are all new. `--timed`: SD1.5's two in full size with random weights on this
CPU, processor seconds in turn; its attention and small layers count there too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"
ENCODERS = {"SD1.5": ("l",), "SDXL": ("l", "g"), "SD3": ("l", "g", "t5")}
BATCH, HARD_SHARE, TURNS = 16, 0.5, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timed", action="store_true", help="SD1.5 on this CPU: some minutes")
    options = parser.parse_args()
    benchmarks = f"{runpy.run_path(str(PACK))['start'](comfyui=False)}.benchmarks"
    training_step = importlib.import_module(f"{benchmarks}.training.training_step")
    training_step.start(SimpleNamespace(cpu=True, threads=1))
    gpu = importlib.import_module(f"{benchmarks}.gpu.families")
    print("| model | a text, TFLOP | a prediction | of a step, one negative | all negatives |")
    print("|---|---|---|---|---|")
    for name in gpu.FULL:
        text, prediction = counted(gpu, name)
        shares = [f"{share(text, prediction, many):.1%}" for many in (1, BATCH - 1)]
        print(f"| {name} | {text / 1e12:.3f} | {prediction / 1e12:.2f} | {' | '.join(shares)} |")
    if options.timed:
        ratios = timed(gpu, "SD1.5")
        print(f"SD1.5, a text of a prediction's processor time: {training_step.spread(ratios)}")
    return 0


def share(text: float, prediction: float, negatives: int) -> float:
    """What embedding adds to a step's cost."""
    return negatives * HARD_SHARE * text / ((negatives + 1) * prediction)


def counted(gpu: Any, name: str) -> tuple[int, int]:
    """Operations of a text, and of a prediction with its backward pass."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    found = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        for run in works(gpu, name, torch.float16):
            with FlopCounterMode(display=False) as counter:
                run()
            found.append(counter.get_total_flops())
    return found[0], found[1]


def timed(gpu: Any, name: str) -> list[float]:
    """A text's processor seconds over a prediction's, turn by turn."""
    import torch

    text, prediction = works(gpu, name, torch.float32)
    text()
    ratios = []
    for _ in range(TURNS):
        ratios.append(seconds(text) / seconds(prediction))
    return ratios


def seconds(run: Callable[[], None]) -> float:
    """Of the processor."""
    start = time.process_time()
    run()
    return time.process_time() - start


def works(gpu: Any, name: str, dtype: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """Embedding one caption, and predicting under it with the gradient of soft tokens."""
    import torch
    from comfyui_softrepa.training.model.graph.options import training_options, with_adapter
    from comfyui_softrepa.training.step.engine import weighed

    encoders = [encoder(kind, dtype) for kind in ENCODERS[name]]
    family = gpu.FULL[name]
    model = gpu.model(name, False, dtype, torch.device("cpu"))
    for network in (*encoders, model.diffusion_model):
        network.requires_grad_(False)
        for parameter in network.parameters():
            parameter.normal_(std=0.02)
    live = gpu.tokens(model, family, 1).copy(torch.device("cpu"), trainable=True)
    options = training_options(model, False)
    given = {"c_crossattn": torch.zeros(1, 77, family["width"])}
    if family["pooled"]:
        given["y"] = torch.zeros(1, model.adm_channels)
    x = torch.zeros(1, family["channels"], family["side"], family["side"])
    letters = torch.zeros(1, 77, dtype=torch.long)

    def text() -> None:
        with torch.no_grad():
            for network in encoders:
                network(letters, attention_mask=None, dtype=torch.float32)

    def prediction() -> None:
        made = with_adapter(options, weighed(model, live, 1.0))
        found = model.apply_model(x, torch.tensor([0.5]), transformer_options=made, **given)
        torch.autograd.grad(found.sum(), list(live.tensors.values()))

    return text, prediction


def encoder(kind: str, dtype: Any) -> Any:
    """A text encoder in full size, as ComfyUI builds it: CLIP L, CLIP bigG or T5 XXL."""
    import comfy.clip_model
    import comfy.ops
    import comfy.text_encoders.t5

    folder = Path(comfy.clip_model.__file__).parent
    file, network = {
        "l": ("sd1_clip_config.json", comfy.clip_model.CLIPTextModel),
        "g": ("clip_config_bigg.json", comfy.clip_model.CLIPTextModel),
        "t5": ("text_encoders/t5_config_xxl.json", comfy.text_encoders.t5.T5),
    }[kind]
    config = json.loads((folder / file).read_text(encoding="utf-8"))
    return network(config, dtype, "cpu", comfy.ops.manual_cast)


if __name__ == "__main__":
    sys.exit(main())
