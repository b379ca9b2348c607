"""Memory that training one pair at 1024 pixels takes on models of full size, by count.

    COMFYUI_PATH=... python benchmarks/memory/memory_by_count.py [--measure | --small] [NAME ...]

A forward and backward pass of ComfyUI's own networks, with tensors that have shapes and no numbers:
the most that is there at once beside the weights, with blocks computed again and their inputs on
the device or in the main memory, and with all kept. So the figures need no GPU and no weights, and
say nothing of what an allocator wastes: 1.2 GiB stand for that, CUDA and workspaces. Attention is
counted as PyTorch's fast kernels have it, without a table of all pairs of rows.

`--measure` computes these passes on the GPU that is there, with random weights, and says what its
allocator saw. `--small` goes through that on a CPU, with networks of
the tests' size.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import runpy
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GIB = 2.0**30
BESIDES = 1.2
ELSEWHERE = "meta"
"""In the main memory's place, so that it can be told from the device's."""
SIDE = 1024


@dataclass(frozen=True)
class Full:
    """A model in its full size. kind: of `tests/small_models.KINDS`, changed by network. weights:
    bytes of a number. text: rows and width. latent: pixels a cell of it."""

    kind: str
    network: Mapping[str, Any]
    weights: int
    text: tuple[int, int]
    cell: int = 8
    latent: tuple[int, ...] = (16,)


_FLUX = {
    "hidden_size": 3072, "num_heads": 24, "axes_dim": [16, 56, 56], "mlp_ratio": 4.0, "depth": 19,
    "depth_single_blocks": 38, "context_in_dim": 4096, "vec_in_dim": 768,
}  # fmt: skip
_KLEIN = {
    **_FLUX, "axes_dim": [32] * 4, "mlp_ratio": 3.0, "depth": 5, "depth_single_blocks": 20,
    "context_in_dim": 7680, "in_channels": 128, "out_channels": 128, "theta": 2000,
    "vec_in_dim": None,
}  # fmt: skip
_LUMINA = {
    "dim": 2304, "n_layers": 26, "n_refiner_layers": 2, "n_heads": 24, "n_kv_heads": 8,
    "axes_dims": [32, 32, 32], "cap_feat_dim": 2304, "multiple_of": 256, "ffn_dim_multiplier": 4.0,
}  # fmt: skip
_Z_IMAGE = {
    **_LUMINA, "dim": 3840, "n_layers": 30, "n_heads": 30, "n_kv_heads": 30,
    "axes_dims": [32, 48, 48], "cap_feat_dim": 2560, "ffn_dim_multiplier": 8 / 3,
    "pad_tokens_multiple": 32,
}  # fmt: skip
_PREDICT_2 = {
    "model_channels": 2048, "num_blocks": 28, "num_heads": 16, "crossattn_emb_channels": 1024,
    "adaln_lora_dim": 256, "max_img_h": 240, "max_img_w": 240, "max_frames": 128,
    "mlp_ratio": 4.0,
}  # fmt: skip
_QWEN = {
    "num_layers": 60, "attention_head_dim": 128, "num_attention_heads": 24,
    "joint_attention_dim": 3584, "axes_dims_rope": (16, 56, 56),
}  # fmt: skip

MODELS: Mapping[str, Full] = {
    "Flux.1, fp8": Full("flux", _FLUX, 1, (256, 4096)),
    "Flux.2 klein 4B, bf16": Full("flux2", _KLEIN, 2, (512, 7680), 16, (128,)),
    "Chroma, fp8": Full(
        "chroma", {**_FLUX, "hidden_dim": 5120, "n_layers": 5, "out_dim": 3072}, 1, (64, 4096)
    ),
    "Qwen-Image, fp8": Full("qwen_image", _QWEN, 1, (100, 3584), latent=(16, 1)),
    "Lumina 2, bf16": Full("lumina", _LUMINA, 2, (100, 2304)),
    "Z-Image, bf16": Full("z_image", _Z_IMAGE, 2, (100, 2560)),
    "Cosmos-Predict2 2B, Anima, bf16": Full("predict2", _PREDICT_2, 2, (512, 1024), latent=(16, 1)),
}


COUNTED = (
    "weights", "recomputed", "in all", "inputs in the main memory", "in all", "there",
    "without recompute", "cache",
)  # fmt: skip
MEASURED = ("weights", "recomputed", "seconds", "inputs in the main memory", "seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="parts of names; default: all")
    parser.add_argument("--measure", action="store_true", help="on the GPU that is there")
    parser.add_argument("--small", action="store_true", help="--measure, small and on a CPU")
    options = parser.parse_args()
    sys.argv[1:] = []
    if options.measure:
        os.environ["COMFYUI_FLAGS"] = "--use-pytorch-cross-attention"
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
    real = options.measure or options.small
    titles = MEASURED if real else COUNTED
    print(f"| | {' | '.join(titles)} |\n|{'---|' * (1 + len(titles))}")
    for name, full in MODELS.items():
        if not options.names or any(each.lower() in name.lower() for each in options.names):
            print(measured(name, full, options.small) if real else row(name, full), flush=True)
    return 0


def row(name: str, full: Full) -> str:
    import torch

    weights, again, _ = counted(full, True, None)
    _, less, away = counted(full, True, ELSEWHERE)
    _, plain, _ = counted(full, False, None)
    cache = torch.Size(full.text).numel() * 2 / 2**20
    return (
        f"| {name} | {weights:.1f} | {again:.2f} | {weights + again + BESIDES:.1f} | {less:.2f} | "
        f"{weights + less + BESIDES:.1f} | {away:.2f} | {weights + plain + BESIDES:.0f} | "
        f"{cache:.2f} |"
    )


def measured(name: str, full: Full, tried: bool) -> str:
    """The same, computed: GiB at most beside the weights, and seconds, in a second pass. tried: in
    the tests' size, and MiB."""
    import comfy.model_management
    import torch
    from comfyui_softrepa.training.step.footprint import Watch

    device = comfy.model_management.get_torch_device()
    full = small(full) if tried else full
    model = filled(built(full, device))
    comfy.model_management.soft_empty_cache()
    weights = sum(each.nbytes for each in model.diffusion_model.parameters())
    unit = 2.0**20 if tried else GIB
    cells = [f"{weights / unit:.1f}"]
    for place in (None, "cpu"):
        with Watch(device) as watch:
            predicted(model, full, True, place)
        most = watch.most
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        begin = time.perf_counter()
        predicted(model, full, True, place)
        if device.type == "cuda":
            torch.cuda.synchronize()
            most = torch.cuda.max_memory_allocated() - before
        cells += [f"{most / unit:.2f}", f"{time.perf_counter() - begin:.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


def small(full: Full) -> Full:
    """In the tests' size."""
    from comfyui_softrepa.tests import small_models

    kind = small_models.KINDS[full.kind]
    text = small_models.TEXT, kind.context
    return Full(full.kind, {}, full.weights, text, SIDE // 8, kind.latent)


def filled(model: Any) -> Any:
    """The same model, with random weights."""
    import torch

    with torch.no_grad():
        for parameter in model.diffusion_model.parameters():
            numbers = torch.randn(parameter.shape, device=parameter.device)
            parameter.copy_(numbers.mul_(0.02))
    return model


def built(full: Full, device: Any) -> Any:
    """The model on a device, its weights not set."""
    import comfy.supported_models
    import torch
    from comfyui_softrepa.tests import small_models

    kind = small_models.KINDS[full.kind]
    shape = {**kind.network, **full.network}
    if kind.params is not None:
        known = {field.name for field in dataclasses.fields(kind.params)}
        shape = {key: value for key, value in shape.items() if key in {*known, "image_model"}}
    config = getattr(comfy.supported_models, kind.config)(dict(shape))
    config.unet_config = {**shape, "dtype": torch.bfloat16}
    config.set_inference_dtype(torch.bfloat16, None)
    model = config.get_model({}, device=device).requires_grad_(False)
    if full.weights == 1:
        from comfyui_softrepa.benchmarks.memory.full_size_memory import cast_at_use

        cast_at_use(model.diffusion_model)
    return model


def counted(full: Full, checkpointing: bool, place: str | None) -> tuple[float, float, float]:
    """GiB of the weights, of the most that one prediction and its backward pass have beside them,
    and of what lies elsewhere meanwhile."""
    import torch
    from comfyui_softrepa.training.step.footprint import Watch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):
        model = built(full, "cpu")
        here, there = Watch(torch.device("cpu")), Watch(torch.device(ELSEWHERE))
        with here, there:
            predicted(model, full, checkpointing, place)
        weights = sum(each.nbytes for each in model.diffusion_model.parameters())
    return weights / GIB, here.most / GIB, there.most / GIB


def predicted(model: Any, full: Full, checkpointing: bool, place: str | None) -> None:
    """One prediction and its backward pass, on the model's device."""
    import torch
    from comfyui_softrepa.injection import make_application
    from comfyui_softrepa.injection.architectures import architecture_of
    from comfyui_softrepa.softrepa.adapter import PLACEMENTS, Adapter
    from comfyui_softrepa.tests import small_models
    from comfyui_softrepa.training.model.graph.blocks import training_mode, writes_allowed
    from comfyui_softrepa.training.model.graph.options import training_options, with_adapter

    architecture = architecture_of(model)
    blocks = getattr(model.diffusion_model, small_models.KINDS[full.kind].blocks)
    width, layers = architecture.widths(model)[0], min(5, len(blocks))
    device = next(model.diffusion_model.parameters()).device
    zeros = functools.partial(torch.zeros, device=device)
    adapter = Adapter(
        tokens=zeros(1, layers, 4, width, requires_grad=True),
        offsets=zeros(1, 100, layers, width, requires_grad=True),
        architecture=architecture.NAME,
        placement=PLACEMENTS[architecture.NAME][0],
        layers=tuple(map(str, range(layers))),
    )
    options = training_options(model, checkpointing, place and torch.device(place))
    more = {"num_tokens": full.text[0]} if architecture.NAME == "lumina" else {}
    if full.kind in ("flux", "chroma"):
        more = {"guidance": zeros(1), **more}
    if full.kind == "flux":
        more["y"] = zeros(1, model.diffusion_model.params.vec_in_dim)
    side = SIDE // full.cell
    writes = architecture.WRITES and not checkpointing
    with writes_allowed() if writes else nullcontext(), training_mode():
        found = model.apply_model(
            zeros(1, *full.latent, side, side),
            zeros(1) + 0.5,
            c_crossattn=zeros(1, *full.text),
            transformer_options=with_adapter(options, make_application(model, adapter)),
            **more,
        )
        torch.autograd.grad(found.sum(), [adapter.tokens, adapter.offsets])


if __name__ == "__main__":
    raise SystemExit(main())
