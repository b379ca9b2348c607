"""A patched against an unpatched sampling step at real widths; what an adapter costs to load.

Random weights, 512 x 512 pixels, one branch of guidance a call (both cost the same): SD1.5 whole,
Flux.1 with one double and one single block, Z-Image with one layer. Patched and plain are timed in
turn, and the ratio is taken pair by pair.
Run: python noxfile.py benchmarks sampling_step
"""

from __future__ import annotations

import os
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parent.parent / "host" / "pack.py"
PAIRS = int(os.environ.get("SOFTREPA_BENCHMARK_PAIRS", "9"))


def main() -> None:
    runpy.run_path(str(PACK))["start"]()
    from comfyui_softrepa.softrepa import files
    from comfyui_softrepa.tests.adapters import random_adapter

    for measure in (_sd15, _flux, _z_image):
        print(measure(random_adapter), flush=True)
    print(_loading(random_adapter("unet", 768, 1), files))


def _sd15(adapter: Callable[..., Any]) -> str:
    import torch

    inputs = {"x": torch.randn(1, 4, 64, 64), "c_crossattn": torch.randn(1, 77, 768)}
    model = _model("SD15", SD15_CONFIG)
    return _compare("SD1.5 width", model, adapter("unet", 768, 1), 5.0, inputs)


def _flux(adapter: Callable[..., Any]) -> str:
    import torch

    inputs = {
        "x": torch.randn(1, 16, 64, 64),
        "c_crossattn": torch.randn(1, 256, 4096),
        "y": torch.randn(1, 768),
        "guidance": torch.tensor([3.5]),
    }
    model = _model("Flux", FLUX_CONFIG)
    return _compare("Flux.1 width, 1 + 1 blocks", model, adapter("flux", 3072, 1), 0.7, inputs)


def _z_image(adapter: Callable[..., Any]) -> str:
    import torch

    inputs = {"x": torch.randn(1, 16, 64, 64), "c_crossattn": torch.randn(1, 256, 2560)}
    model = _model("ZImage", Z_IMAGE_CONFIG)
    inputs["num_tokens"] = 256
    return _compare("Z-Image width, 1 layer", model, adapter("lumina", 3840, 1), 0.7, inputs)


def _model(name: str, shape: dict[str, Any]) -> Any:
    """A `comfy.model_patcher.ModelPatcher` on the CPU, of random weights."""
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    config = getattr(comfy.supported_models, name)(dict(shape))
    config.unet_config = {**_known(name, shape), "dtype": torch.float32}
    model = config.get_model({}, device=None)
    torch.manual_seed(0)
    for parameter in model.diffusion_model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, cpu, cpu)


def _known(name: str, shape: dict[str, Any]) -> dict[str, Any]:
    """Without what this core's network does not take."""
    import dataclasses

    from comfy.ldm.flux.model import FluxParams

    if name != "Flux":
        return shape
    fields = {field.name for field in dataclasses.fields(FluxParams)} | {"image_model"}
    return {key: value for key, value in shape.items() if key in fields}


def _compare(name: str, patcher: Any, adapter: Any, sigma: float, inputs: dict[str, Any]) -> str:
    import torch
    from comfyui_softrepa import injection

    model = patcher.model
    patched = injection.apply(patcher, injection.make_application(model, adapter))
    x, others = inputs["x"], {key: value for key, value in inputs.items() if key != "x"}

    def step(which: Any) -> float:
        options = which.model_options["transformer_options"]
        begin = time.perf_counter()
        with torch.no_grad():
            model.apply_model(x, torch.tensor([sigma]), transformer_options=options, **others)
        return time.perf_counter() - begin

    step(patcher), step(patched)
    pairs = []
    for index in range(PAIRS):
        order = (patcher, patched) if index % 2 == 0 else (patched, patcher)
        first, second = (step(which) for which in order)
        pairs.append((first, second) if index % 2 == 0 else (second, first))
    ratios = sorted(with_tokens / plain for plain, with_tokens in pairs)
    plain = statistics.median(plain for plain, _ in pairs)
    return (
        f"sampling step, {name}, 512 x 512, {PAIRS} pairs in turn: patched / plain "
        f"median {statistics.median(ratios):.4f} (min {ratios[0]:.4f}, max {ratios[-1]:.4f}); "
        f"plain step {plain:.2f} s"
    )


def _loading(adapter, files) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.safetensors"
        files.write(path, adapter)
        times = []
        for _ in range(50):
            begin = time.perf_counter()
            files.read(path)
            times.append((time.perf_counter() - begin) * 1000)
        return (
            f"loading an SD1.5 adapter: {path.stat().st_size} bytes, median "
            f"{statistics.median(times):.2f} ms (min {min(times):.2f}, max {max(times):.2f})"
        )


SD15_CONFIG = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
    "num_head_channels": -1,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
    "use_checkpoint": False,
    "legacy": False,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
}
"""ComfyUI's own configuration of SD1.5's U-Net."""

FLUX_CONFIG = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 768,
    "context_in_dim": 4096,
    "hidden_size": 3072,
    "mlp_ratio": 4.0,
    "num_heads": 24,
    "depth": 1,
    "depth_single_blocks": 1,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
Z_IMAGE_CONFIG = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 3840,
    "cap_feat_dim": 2560,
    "n_layers": 1,
    "n_refiner_layers": 0,
    "n_heads": 30,
    "n_kv_heads": 30,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
    "qk_norm": True,
}
"""ComfyUI's own shapes of Flux.1's and Z-Image's networks, cut to one block of each kind."""


if __name__ == "__main__":
    main()
