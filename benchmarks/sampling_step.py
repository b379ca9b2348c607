"""A patched against an unpatched sampling step at real SD1.5 width; what an adapter costs to load.

Random weights, 512 x 512 pixels, one branch of guidance a call
(both cost the same). The two are timed in turn, and the ratio is taken pair by pair.
Run: python noxfile.py benchmarks sampling_step
"""

from __future__ import annotations

import os
import runpy
import statistics
import tempfile
import time
from pathlib import Path

PACK = Path(__file__).resolve().parent.parent / "host" / "pack.py"
PAIRS = int(os.environ.get("SOFTREPA_BENCHMARK_PAIRS", "9"))


def main() -> None:
    runpy.run_path(str(PACK))["start"]()
    import comfy.model_patcher
    import comfy.supported_models
    import torch
    from comfyui_softrepa import injection
    from comfyui_softrepa.softrepa import files
    from comfyui_softrepa.tests.adapters import random_adapter

    config = comfy.supported_models.SD15(SD15_CONFIG)
    config.unet_config = {**SD15_CONFIG, "dtype": torch.float32}
    model = config.get_model({}, device=None)
    torch.manual_seed(0)
    for parameter in model.diffusion_model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, cpu, cpu)
    adapter = random_adapter("unet", 768, 1)
    load = _loading(adapter, files)
    patched = injection.apply(patcher, injection.make_application(model, adapter))

    x, context = torch.randn(1, 4, 64, 64), torch.randn(1, 77, 768)
    sigma = torch.tensor([5.0])

    def step(which: comfy.model_patcher.ModelPatcher) -> float:
        options = which.model_options["transformer_options"]
        begin = time.perf_counter()
        with torch.no_grad():
            model.apply_model(x, sigma, c_crossattn=context, transformer_options=options)
        return time.perf_counter() - begin

    step(patcher), step(patched)
    pairs = []
    for index in range(PAIRS):
        order = (patcher, patched) if index % 2 == 0 else (patched, patcher)
        first, second = (step(which) for which in order)
        pairs.append((first, second) if index % 2 == 0 else (second, first))
    ratios = sorted(with_tokens / plain for plain, with_tokens in pairs)
    plain = statistics.median(plain for plain, _ in pairs)
    print(
        f"sampling step, SD1.5 width, 512 x 512, {PAIRS} pairs in turn: patched / plain "
        f"median {statistics.median(ratios):.4f} (min {ratios[0]:.4f}, max {ratios[-1]:.4f}); "
        f"plain step {plain:.2f} s"
    )
    print(load)


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


if __name__ == "__main__":
    main()
