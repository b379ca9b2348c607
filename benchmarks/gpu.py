"""What only a CUDA card can show, as one table with the card's name: `python noxfile.py gpu`.

Checks that results there are those of a CPU, the benchmarks of a training step and of its memory,
and training steps of SD1.5, SDXL and SD3 in full size with random weights, first with
`--checkpointing` (SDXL: about 8 GB), then without (about 26 GB).
Without a card it says what is unmeasured. `--try` goes through all of it on a CPU with small
models, to show that the command itself works.
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "build" / "gpu.md"
UNMEASURED = (
    "gradients on a GPU against a CPU's",
    "a training step against its bare evaluations (benchmarks/training_step.py)",
    "memory over the batch size (benchmarks/training_memory.py)",
    "full-size training steps of SD1.5, SDXL and SD3, with and without --checkpointing: seconds "
    "and peak memory",
    "memory that runs out on a card, and the micro-batch that follows it",
)
UNET = {"num_heads": -1, "num_head_channels": 64, "use_linear_in_transformer": True}
FULL: dict[str, dict[str, Any]] = {
    "SD1.5": {"width": 768, "pooled": None, "channels": 4, "side": 64, "layers": ("input",)},
    "SDXL": {
        "width": 2048,
        "pooled": 1280,
        "channels": 4,
        "side": 128,
        "layers": ("input", "middle"),
    },
    "SD3": {"width": 4096, "pooled": 2048, "channels": 16, "side": 64, "layers": "01234"},
}
"""Side of the latents at the family's resolution, and the blocks that are trained."""
WAYS = (
    ("softrepa", 1, True),
    ("softrepa", 3, True),
    ("agsm", 3, True),
    ("softrepa", 1, False),
    ("softrepa", 3, False),
    ("agsm", 1, False),
    ("agsm", 3, False),
)
"""Objective, negatives of an image, --checkpointing: what takes least memory first."""
STEPS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--try", dest="tried", action="store_true", help="on a CPU, small models")
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available() and not options.tried:
        print("There is no CUDA card here. Unmeasured:", *UNMEASURED, sep="\n- ")
        return 0
    training_step = SimpleNamespace(**runpy.run_path(str(HERE / "training_step.py")))
    training_step.start(SimpleNamespace(cpu=options.tried, threads=2))
    card = "a CPU, small models: no measurement" if options.tried else torch.cuda.get_device_name(0)
    rows = [("card", card), ("torch", f"{torch.__version__}, CUDA {torch.version.cuda}")]
    rows += checks(training_step)
    for name, family in FULL.items():
        rows += full_size(training_step, name, family, small=options.tried)
    rows += benchmarks(["--cpu", "--repeats=1"] if options.tried else [])
    write(options.output, rows)
    print(options.output.read_text(encoding="utf-8"))
    return 0 if all(not value.startswith("FAILED") for _, value in rows) else 1


def write(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """The table, as Markdown."""
    lines = ["| measured | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def checks(training_step: Any) -> list[tuple[str, str]]:
    """That a gradient does not depend on the micro-batch, for both objectives."""
    rows = []
    for objective in ("softrepa", "agsm"):
        made = training_step.denoiser(2)
        banks = 1 if objective == "softrepa" else 2
        task, live = training_step.problem(made, 2, 16, 4, banks)
        average = live.copy(made.device, trainable=False)
        found = []
        for micro_batch in (1, 16):
            live.adapter.tokens.grad = None
            engine = training_step.engine_of(made, objective, micro_batch)
            engine.accumulate(task, live, average, range(4))
            found.append(live.adapter.tokens.grad.clone())
        error = float((found[0] - found[1]).norm() / found[0].norm())
        limit = 1e-4 if made.device.type == "cpu" else 5e-2  # bfloat16 rounds by batch
        said = f"{error:.1e} (at most {limit:g})"
        rows.append(
            (
                f"{objective}: gradient, micro-batch 1 against 16",
                said if error <= limit else f"FAILED: {said}",
            )
        )
    return rows


def full_size(
    training_step: Any, name: str, family: dict[str, Any], small: bool
) -> list[tuple[str, str]]:
    """Seconds of a step and peak memory, batch 4, one negative and all, at micro-batch 4."""
    import torch

    rows = []
    try:
        made = denoiser(name, small)
        for objective, negatives, checkpointing in WAYS:
            run = step(training_step, made, family, objective, negatives, small, checkpointing)
            run()
            if made.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times = [training_step.timed(made, run) for _ in range(1 if small else STEPS)]
            peak = torch.cuda.max_memory_allocated() if made.device.type == "cuda" else 0
            said = f"{training_step.spread(times)} s, peak {peak / 1e9:.2f} GB"
            how = f"{negatives} negatives each{', --checkpointing' * checkpointing}"
            rows.append((f"{name}: {objective}, 4 images, {how}", said))
    except torch.OutOfMemoryError as error:
        rows.append((f"{name}: the rest", f"does not fit this card ({str(error).split('.')[0]})"))
    finally:
        import comfy.model_management

        comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()
    return rows


def denoiser(name: str, small: bool) -> Any:
    """The family's network in full, its weights drawn on the device."""
    import comfy.model_management
    import comfy.model_patcher
    import torch
    from comfyui_softrepa.training.model.denoiser import Denoiser

    device = comfy.model_management.get_torch_device()
    made = model(name, small, torch.float32 if device.type == "cpu" else torch.bfloat16, device)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in (*made.diffusion_model.parameters(), *made.diffusion_model.buffers()):
            fan = parameter[0].numel() if parameter.dim() > 1 else 2500
            parameter.normal_(std=fan**-0.5)
    return Denoiser(comfy.model_patcher.ModelPatcher(made, device, torch.device("cpu")))


def model(name: str, small: bool, dtype: Any, device: Any) -> Any:
    """The family's model as ComfyUI builds it, its weights not set."""
    import comfy.supported_models

    config = {**configuration(name, small), "dtype": dtype}
    family = {"SD1.5": "SD15", "SDXL": "SDXL", "SD3": "SD3"}[name]
    made = getattr(comfy.supported_models, family)(dict(config))
    made.unet_config = config
    return made.get_model({}, device=device)


def configuration(name: str, small: bool) -> dict[str, Any]:
    """ComfyUI's own configuration of the family's network; small: of the same form."""
    if name == "SD3":
        depth = 6 if small else 24
        return {
            "in_channels": 16,
            "patch_size": 2,
            "depth": depth,
            "input_size": None,
            "adm_in_channels": 2048,
            "num_patches": 36864,
            "pos_embed_max_size": 192,
            "context_embedder_config": {
                "target": "torch.nn.Linear",
                "params": {"in_features": 4096, "out_features": 64 * depth},
            },
        }
    common = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 64 if small else 320,
        "use_checkpoint": False,
        "legacy": False,
        "use_spatial_transformer": True,
        "use_temporal_attention": False,
    }
    if name == "SD1.5":
        return {
            **common,
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_output": [1] * 9 + [0] * 3,
            "transformer_depth_middle": 1,
            "context_dim": 768,
            "num_heads": 8,
            "num_head_channels": -1,
            "use_linear_in_transformer": False,
            "adm_in_channels": None,
        }
    deep = 1 if small else 10
    return {
        **common,
        **UNET,
        "num_classes": "sequential",
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, deep, deep],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, deep, deep, deep],
        "transformer_depth_middle": deep,
        "context_dim": 2048,
        "adm_in_channels": 2816,
    }


def step(
    training_step: Any,
    made: Any,
    family: dict[str, Any],
    objective: str,
    negatives: int,
    small: bool,
    checkpointing: bool,
    copies: bool = False,
) -> Callable[[], None]:
    """One training step of four images on the device, without the reading of data.

    copies: its graphs keep copies of weights that are cast, as they do without the trainer.
    """
    import torch
    from comfyui_softrepa.training.objectives import OBJECTIVES
    from comfyui_softrepa.training.step.batches import Batch
    from comfyui_softrepa.training.step.engine import prepare

    generator = torch.Generator().manual_seed(1)
    pooled = family["pooled"]
    texts = [
        SimpleNamespace(
            context=torch.randn(77, family["width"], generator=generator),
            pooled=None if pooled is None else torch.randn(pooled, generator=generator),
            more={},
        )
        for _ in range(4)
    ]
    side = 16 if small else family["side"]
    shape = (family["channels"], side, side)
    candidates = tuple(tuple((i + k) % 4 for k in range(negatives + 1)) for i in range(4))
    noise = torch.randn(1, *shape, generator=generator)
    batch = Batch((0, 1, 2, 3), ("a", "b", "c", "d"), candidates, 500, noise)
    task = prepare(made, batch, torch.randn(4, *shape, generator=generator), texts)
    started = tokens(made.model, family, OBJECTIVES[objective].BANKS)
    live = started.copy(made.device, trainable=True)
    average = live.copy(made.device, trainable=False)
    engine = training_step.engine_of(made, objective, 4, checkpointing)
    if copies:
        engine.base_options.pop("wrappers")
    optimizer = torch.optim.AdamW(list(live.tensors.values()))

    def run() -> None:
        optimizer.zero_grad()
        engine.accumulate(task, live, average, range(4))
        optimizer.step()

    return run


def tokens(model: Any, family: dict[str, Any], banks: int) -> Any:
    """Soft tokens to train with, as the trainer's defaults for the family have them."""
    import torch
    from comfyui_softrepa.training.model.soft_tokens import initial_tokens

    network = model.diffusion_model
    mmdit = hasattr(network, "joint_blocks")
    width = network.x_embedder.proj.out_channels if mmdit else family["width"]
    return initial_tokens(
        banks=banks,
        rows=len(family["layers"]) if mmdit else 1,
        tokens=4,
        width=width,
        offset_width=width,
        architecture="mmdit" if mmdit else "unet",
        placement="prepend" if mmdit else "after_bos",
        layers=tuple(family["layers"]),
        generator=torch.Generator().manual_seed(1),
    )


def benchmarks(flags: list[str]) -> list[tuple[str, str]]:
    """What the two training benchmarks print, each in a process of its own."""
    rows = []
    for name in ("training_step", "training_memory"):
        own = [flag for flag in flags if name == "training_step" or not flag.startswith("--rep")]
        command = [sys.executable, str(HERE / f"{name}.py"), *own]
        found = subprocess.run(command, capture_output=True, text=True)
        said = "; ".join(found.stdout.strip().splitlines())
        failed = f"FAILED: {(found.stderr.strip().splitlines() or [''])[-1]}"
        rows.append((name, said if found.returncode == 0 else failed))
    return rows


if __name__ == "__main__":
    sys.exit(main())
