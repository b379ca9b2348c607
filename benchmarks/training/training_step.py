"""A training step against the bare denoiser evaluations it must do.

    COMFYUI_PATH=... python benchmarks/training/training_step.py [--cpu] [--repeats 7]

The denoiser is an SD3-shaped MMDiT of random weights with soft tokens in its first blocks. "Bare"
is the same number of `apply_model` calls on the same micro-batches, with the same tokens, and a
backward pass from a fixed gradient: no objective, no bookkeeping, no optimizer. The two alternate;
what is printed is the median of their ratios.
"""

from __future__ import annotations

import argparse
import runpy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = 1.05
CHANNELS, CONTEXT, POOLED, LENGTH = 16, 4096, 2048, 77


def main() -> int:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--depth", type=int, default=4, help="of the MMDiT; its width is 64 x this")
    parser.add_argument("--side", type=int, default=16, help="of the latents")
    parser.add_argument("--batch-size", type=int, default=4)
    options = parser.parse_args()
    start(options)
    for objective in ("softrepa", "agsm"):
        for micro_batch in sorted({options.batch_size, max(1, options.batch_size // 2)}):
            ratios = step_ratios(options, objective, micro_batch)
            report = f"{objective}, B {options.batch_size}, micro-batch {micro_batch}: step / bare"
            print(f"{report} {spread(ratios)} (target <= {TARGET})", flush=True)
    return 0


def arguments(about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU; waiting ones count too")
    return parser


def start(options: argparse.Namespace) -> None:
    """The pack under its development name, and ComfyUI from COMFYUI_PATH."""
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"](comfyui=False)
    import torch
    from comfyui_softrepa.training.model import comfyui

    flags = ["--use-pytorch-cross-attention", *(["--cpu"] if options.cpu else [])]
    comfyui.start(comfyui.find(), flags)
    torch.set_num_threads(options.threads)


def denoiser(depth: int) -> Any:
    """A random SD3 of this depth, as ComfyUI builds it."""
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models
    import torch
    from comfyui_softrepa.training.model.denoiser import Denoiser

    config = {
        "in_channels": CHANNELS,
        "patch_size": 2,
        "depth": depth,
        "input_size": None,
        "adm_in_channels": POOLED,
        "num_patches": 4096,
        "pos_embed_max_size": 64,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": CONTEXT, "out_features": 64 * depth},
        },
    }
    made = comfy.supported_models.SD3(dict(config))
    device = comfy.model_management.get_torch_device()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    made.unet_config = {**config, "dtype": dtype}
    model = made.get_model({}, device=None)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (*model.diffusion_model.parameters(), model.diffusion_model.pos_embed):
            numbers = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(
                numbers * (parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.02)
            )
    return Denoiser(comfy.model_patcher.ModelPatcher(model, device, torch.device("cpu")))


def problem(made: Any, depth: int, side: int, size: int, banks: int) -> tuple[Any, Any]:
    """A batch of this size on the device, and tokens for it."""
    import torch
    from comfyui_softrepa.training.model.soft_tokens import initial_tokens
    from comfyui_softrepa.training.step.batches import Batch
    from comfyui_softrepa.training.step.engine import prepare

    generator = torch.Generator().manual_seed(1)
    texts = [
        SimpleNamespace(
            context=torch.randn(LENGTH, CONTEXT, generator=generator),
            pooled=torch.randn(POOLED, generator=generator),
            more={},
        )
        for _ in range(size)
    ]
    candidates = tuple((i, *(j for j in range(size) if j != i)) for i in range(size))
    shape = (CHANNELS, side, side)
    noise = torch.randn(1, *shape, generator=generator)
    batch = Batch(tuple(range(size)), tuple(map(str, range(size))), candidates, 500, noise)
    task = prepare(made, batch, torch.randn(size, *shape, generator=generator), texts)
    rows = min(5, depth)
    tokens = initial_tokens(
        banks=banks,
        rows=rows,
        tokens=4,
        width=64 * depth,
        offset_width=64 * depth,
        architecture="mmdit",
        placement="prepend",
        layers=tuple(map(str, range(rows))),
        generator=generator,
    )
    return task, tokens.copy(made.device, trainable=True)


def engine_of(made: Any, objective: str, micro_batch: int, checkpointing: bool = False) -> Any:
    from comfyui_softrepa.training.model.graph.options import training_options
    from comfyui_softrepa.training.objectives import OBJECTIVES
    from comfyui_softrepa.training.step.engine import Engine

    options = training_options(made.model, checkpointing)
    return Engine(made, OBJECTIVES[objective](normalise=True), micro_batch, options)


def step(
    made: Any, options: argparse.Namespace, objective: str, micro_batch: int, size: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """(a training step without the reading of data, the bare evaluations it must do)."""
    import torch
    from comfyui_softrepa.injection import make_application
    from comfyui_softrepa.training.model.graph.options import with_adapter

    engine = engine_of(made, objective, micro_batch)
    task, live = problem(made, options.depth, options.side, size, engine.objective.BANKS)
    average = live.copy(made.device, trainable=False)
    optimizer = torch.optim.AdamW(list(live.tensors.values()))
    wire = with_adapter(engine.base_options, make_application(made.model, live.adapter))
    surveyed = objective == "agsm" or micro_batch < size
    parts = [range(at, min(at + micro_batch, size)) for at in range(0, size, micro_batch)]

    def trained() -> None:
        optimizer.zero_grad()
        engine.accumulate(task, live, average, range(size))
        optimizer.step()

    def evaluate(row: int, part: range) -> torch.Tensor:
        x = task.noisy.x[row].expand(len(part), -1, -1, -1)
        sigma = task.noisy.sigma.expand(len(part))
        conditions = task.conditions.take(list(part))
        return made.model.apply_model(x, sigma, transformer_options=wire, **conditions)

    def bare() -> None:
        for row in range(size):
            if surveyed:
                with torch.no_grad():
                    for part in parts:
                        evaluate(row, part)
            for part in parts:
                found = evaluate(row, part)
                found.backward(torch.ones_like(found))
        if objective == "agsm":  # accuracy is one row's, as inference predicts it
            with torch.no_grad():
                for part in parts:
                    evaluate(0, part)

    return trained, bare


def step_ratios(options: argparse.Namespace, objective: str, micro_batch: int) -> list[float]:
    made = denoiser(options.depth)
    trained, bare = step(made, options, objective, micro_batch, options.batch_size)
    timed(made, trained), timed(made, bare)  # warm up
    return [timed(made, trained) / timed(made, bare) for _ in range(options.repeats)]


def timed(made: Any, run: Callable[[], None]) -> float:
    """Processor seconds on a CPU, which other programs disturb least; else seconds."""
    import torch

    if made.device.type == "cpu":
        began = time.process_time()
        run()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} [{min(values):.3f} ... {max(values):.3f}]"


if __name__ == "__main__":
    sys.exit(main())
