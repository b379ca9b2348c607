"""What one prediction of a full-size model takes in training, counted without making it.

    COMFYUI_PATH=... python benchmarks/memory/full_size_memory.py

SD1.5 and SD3 at 512 pixels, SDXL at 1024, in fp16: the most that a forward and backward pass hold
beside the weights, with and without `--checkpointing`; the same with weights in fp8 that are cast
at use. Shapes only, so that any machine can tell. What libraries take inside an operation is not
seen.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"
MICRO_BATCHES = (1, 4)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    benchmarks = f"{runpy.run_path(str(PACK))['start'](comfyui=False)}.benchmarks"
    training_step = importlib.import_module(f"{benchmarks}.training.training_step")
    training_step.start(SimpleNamespace(cpu=True, threads=1))
    gpu = importlib.import_module(f"{benchmarks}.gpu.families")
    print("| model | weights | checkpointing | a prediction | together, micro-batch 1 | 4 |")
    print("|---|---|---|---|---|---|")
    for name in gpu.FULL:
        for quantised in (False, True):
            for checkpointing in (False, True):
                weights, one = taken(gpu, name, quantised, checkpointing)
                whole = [f"{(weights + count * one) / 1e9:.1f}" for count in MICRO_BATCHES]
                dtype = "fp8" if quantised else "fp16"
                cells = [name, f"{weights / 1e9:.2f} ({dtype})", "yes" if checkpointing else "no"]
                print(f"| {' | '.join([*cells, f'{one / 1e9:.2f}', *whole])} |", flush=True)
    return 0


def taken(gpu: Any, name: str, quantised: bool, checkpointing: bool) -> tuple[int, int]:
    """Bytes of the weights, and of a prediction."""
    import torch
    from comfyui_softrepa.training.model.graph.options import training_options, with_adapter
    from comfyui_softrepa.training.step.engine import weighed
    from comfyui_softrepa.training.step.footprint import Watch
    from torch._subclasses.fake_tensor import FakeTensorMode

    family = gpu.FULL[name]
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = gpu.model(name, False, torch.float16, torch.device("cpu"))
        model.requires_grad_(False)
        if quantised:
            cast_at_use(model.diffusion_model)
        held = sum(one.numel() * one.element_size() for one in model.diffusion_model.parameters())
        live = gpu.tokens(model, family, 1).copy(torch.device("cpu"), trainable=True)
        options = training_options(model, checkpointing)
        given = {"c_crossattn": torch.zeros(1, 77, family["width"])}
        if family["pooled"]:
            given["y"] = torch.zeros(1, model.adm_channels)
        x = torch.zeros(1, family["channels"], family["side"], family["side"])
        with Watch() as watch:
            made = with_adapter(options, weighed(model, live, 1.0))
            found = model.apply_model(x, torch.tensor([0.5]), transformer_options=made, **given)
            torch.autograd.grad(found.sum(), list(live.tensors.values()))
    return held, watch.most


def cast_at_use(network: Any) -> None:
    """Linear layers' weights in fp8, as ComfyUI loads such files."""
    import comfy.ops
    import torch

    for module in network.modules():
        if isinstance(module, comfy.ops.disable_weight_init.Linear):
            module.weight = torch.nn.Parameter(module.weight.to(torch.float8_e4m3fn), False)
            module.comfy_cast_weights = True


if __name__ == "__main__":
    sys.exit(main())
