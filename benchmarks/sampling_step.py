"""Patched against unpatched sampling steps; what an adapter costs to load.

SD1.5 at its real width, and an SD3 of half the width and depth (768, 12 blocks) with an adapter for
its first five; Flux.1 with one double and one single block, and Z-Image with one layer, at their
real widths, in bfloat16 too. Random weights, 512 x 512 pixels, one branch of guidance a call (both
cost the same). At strength 1 and, on SD's, at 0.5 as a blend and as the weight in attention. Each
is timed in turn with the bare model, in processor time, and the ratio is taken pair by pair.
Run: python noxfile.py benchmarks sampling_step, or python benchmarks/sampling_step.py bfloat16 for
those with it in their names.
"""

from __future__ import annotations

import argparse
import os
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parent.parent / "host" / "pack.py"
PAIRS = int(os.environ.get("SOFTREPA_BENCHMARK_PAIRS", "9"))
USES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("strength 1", {}),
    ("strength 0.5, blend", {"strength": 0.5}),
    ("strength 0.5, attention", {"strength": 0.5, "strength_as": "attention"}),
)
ONE = USES[:1]
CHOSEN: list[str] = []
"""Parts of names; all where there are none."""


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("chosen", nargs="*", metavar="NAME", help="parts of names; all without")
    CHOSEN[:] = flags.parse_args().chosen
    # ComfyUI reads the command line, too.
    sys.argv[1:] = []
    runpy.run_path(str(PACK))["start"]()
    import comfy.supported_models
    import torch
    from comfyui_softrepa.softrepa import files
    from comfyui_softrepa.tests.adapters import random_adapter

    adapter = random_adapter("unet", 768, 1)
    if not CHOSEN:
        print(_loading(adapter, files))
    inputs = {"x": torch.randn(1, 4, 64, 64), "c_crossattn": torch.randn(1, 77, 768)}
    _compare("SD1.5 width", comfy.supported_models.SD15, SD15_CONFIG, adapter, inputs, 5.0)
    inputs = {
        "x": torch.randn(1, 16, 64, 64),
        "c_crossattn": torch.randn(1, 154, 4096),
        "y": torch.randn(1, 2048),
    }
    adapter = random_adapter("mmdit", 768, 5)
    _compare("SD3, half size", comfy.supported_models.SD3, SD3_CONFIG, adapter, inputs, 0.7)
    _compare_wide(random_adapter)


def _compare_wide(adapter: Callable[..., Any]) -> None:
    import comfy.supported_models
    import torch

    inputs = {
        "x": torch.randn(1, 16, 64, 64),
        "c_crossattn": torch.randn(1, 256, 4096),
        "y": torch.randn(1, 768),
        "guidance": torch.tensor([3.5]),
    }
    config, made, flux = _without_unknown(FLUX_CONFIG), adapter("flux", 3072, 1), "Flux.1, 1 + 1"
    kind = comfy.supported_models.Flux
    for name, dtype in ((flux, torch.float32), (f"{flux}, bfloat16", torch.bfloat16)):
        _compare(name, kind, config, made, inputs, 0.7, ONE, dtype)
    inputs = {
        "x": torch.randn(1, 16, 64, 64),
        "c_crossattn": torch.randn(1, 256, 2560),
        "num_tokens": 256,
    }
    made = adapter("lumina", 3840, 1)
    kind = comfy.supported_models.ZImage
    for name, dtype in (("Z-Image, 1", torch.float32), ("Z-Image, 1, bfloat16", torch.bfloat16)):
        _compare(name, kind, Z_IMAGE_CONFIG, made, inputs, 0.7, ONE, dtype)


def _without_unknown(config: dict[str, Any]) -> dict[str, Any]:
    """Only what this core's Flux takes."""
    import dataclasses

    from comfy.ldm.flux.model import FluxParams

    known = {"image_model", *(field.name for field in dataclasses.fields(FluxParams))}
    return {key: value for key, value in config.items() if key in known}


def _compare(
    name: str,
    kind: Any,
    config: dict[str, Any],
    adapter: Any,
    inputs: dict[str, Any],
    sigma: float,
    uses: tuple[tuple[str, dict[str, Any]], ...] = USES,
    dtype: Any = None,
) -> None:
    """Prints a line for each of the uses. dtype: of weights and computing; float32 if none."""
    import comfy.model_patcher
    import torch
    from comfyui_softrepa import injection

    if CHOSEN and not any(each in name for each in CHOSEN):
        return
    made = kind({**config})
    made.unet_config = {**config, "dtype": dtype or torch.float32}
    if dtype:
        made.set_inference_dtype(dtype, None)
    model = made.get_model({}, device=None)
    torch.manual_seed(0)
    for parameter in model.diffusion_model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, cpu, cpu)

    def step(which: Any) -> float:
        options = which.model_options["transformer_options"]
        begin = time.process_time()
        with torch.no_grad():
            model.apply_model(t=torch.tensor([sigma]), transformer_options=options, **inputs)
        return time.process_time() - begin

    for use, settings in uses:
        application = injection.make_application(model, adapter, **settings)
        found = _in_turn(step, patcher, injection.apply(patcher, application))
        print(f"{name}, {use}: {found}", flush=True)


def _in_turn(step: Callable[[Any], float], plain: Any, patched: Any) -> str:
    step(plain), step(patched)
    pairs = []
    for index in range(PAIRS):
        order = (plain, patched) if index % 2 == 0 else (patched, plain)
        first, second = (step(which) for which in order)
        pairs.append((first, second) if index % 2 == 0 else (second, first))
    ratios = sorted(with_tokens / plain for plain, with_tokens in pairs)
    seconds = statistics.median(plain for plain, _ in pairs)
    return (
        f"patched / plain, {PAIRS} pairs in turn: median {statistics.median(ratios):.4f} "
        f"(min {ratios[0]:.4f}, max {ratios[-1]:.4f}); plain step {seconds:.2f} s"
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
SD3_CONFIG = {
    "in_channels": 16,
    "patch_size": 2,
    "out_channels": 16,
    "depth": 12,
    "input_size": None,
    "adm_in_channels": 2048,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": 4096, "out_features": 768},
    },
    "num_patches": 36864,
    "pos_embed_max_size": 192,
    "pos_embed_scaling_factor": None,
}
"""ComfyUI's configuration of SD3 medium, with 12 blocks in place of 24."""
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
