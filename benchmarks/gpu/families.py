"""SD1.5, SDXL and SD3 as ComfyUI builds them, in full size or small, and training steps of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

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


def chosen(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Those that are wanted; all where none is named."""
    return [name for name in names if not wanted or name in wanted]


def denoiser(name: str, small: bool, dtype: Any = None) -> Any:
    """The family's network, its weights drawn on the device, or of a small one on the CPU, so that
    they are the same everywhere. dtype: float32 on a CPU and bfloat16 elsewhere where it is None.
    """
    import comfy.model_management
    import comfy.model_patcher
    import torch
    from comfyui_softrepa.training.model.denoiser import Denoiser

    device = comfy.model_management.get_torch_device()
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.bfloat16)
    made = model(name, small, dtype, device)
    place = torch.device("cpu") if small else device
    generator = torch.Generator(place).manual_seed(0)
    with torch.no_grad():
        for parameter in (*made.diffusion_model.parameters(), *made.diffusion_model.buffers()):
            fan = parameter[0].numel() if parameter.dim() > 1 else 2500
            numbers = torch.randn(parameter.shape, generator=generator, device=place)
            parameter.copy_(numbers * fan**-0.5)
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

    task, live, average, engine = prepared(
        training_step, made, family, objective, negatives, small, checkpointing
    )
    if copies:
        engine.base_options.pop("wrappers")
    optimizer = torch.optim.AdamW(list(live.tensors.values()))

    def run() -> None:
        optimizer.zero_grad()
        engine.accumulate(task, live, average, range(4))
        optimizer.step()

    return run


def gradient(training_step: Any, made: Any, family: dict[str, Any], objective: str) -> Any:
    """A small network's tokens with the gradient of four images and all negatives."""
    task, live, average, engine = prepared(training_step, made, family, objective, 3, True, False)
    engine.accumulate(task, live, average, range(4))
    return live


def prepared(
    training_step: Any,
    made: Any,
    family: dict[str, Any],
    objective: str,
    negatives: int,
    small: bool,
    checkpointing: bool,
) -> tuple[Any, Any, Any, Any]:
    """A batch on the device, tokens to train, their average, and the engine."""
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
    return task, live, average, training_step.engine_of(made, objective, 4, checkpointing)


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
