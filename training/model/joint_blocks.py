"""What a model is called with in training, through ComfyUI's own slots for patches: an attention
that has a backward pass, and activation checkpointing of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...injection import Application, model_options
from ...injection.architectures import architecture_of
from ...injection.architectures.mmdit import NAME as MMDIT
from ..errors import BadInput
from . import rotation
from .recompute import KEY, Recompute


@dataclass(frozen=True, eq=False)
class PlainJointBlock:
    """The joint block itself, with or without checkpointing.

    ComfyUI checkpoints a joint block whenever a patch stands in its slot, and never otherwise. An
    adapter's patch stands in some slots, so that here the choice is made for all of them.
    """

    block: torch.nn.Module
    checkpointed: bool

    def __call__(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        text, image = self.block(
            args["txt"],
            args["img"],
            c=args["vec"],
            use_checkpoint=self.checkpointed and torch.is_grad_enabled(),
            transformer_options=args["transformer_options"],
        )
        return {"txt": text, "img": image}


def can_checkpoint(model: torch.nn.Module) -> bool:
    """Whether this `comfy.model_base.BaseModel` can do with fewer activations."""
    architecture = architecture_of(model)
    return architecture.NAME == MMDIT or bool(architecture.layers(model))


def room(model: torch.nn.Module, resolution: int, predictions: int) -> int:
    """Bytes for the activations of so many predictions at once, by a rough count, where blocks are
    computed again: what a model that does not fit whole has to leave free. 0 where they are not."""
    architecture = architecture_of(model)
    layers = len(architecture.layers(model))
    if not layers:
        return 0
    sequence = (resolution // 16) ** 2 + 512
    one = sequence * architecture.widths(model)[0] * 2
    return predictions * one * (layers + ONE_BLOCK)


ONE_BLOCK = 50
"""A block's whole graph, times what is kept of it where it is computed again: 44 to 53 in the
models that `benchmarks/memory_by_count.py` counts."""


def training_options(model: torch.nn.Module, checkpointing: bool) -> dict[str, Any]:
    """`transformer_options` to train with; `with_adapter` adds the adapter's patches.

    Raises BadInput where checkpointing is asked of a U-Net: ComfyUI's has no slot around a block.
    """
    architecture = architecture_of(model)
    if checkpointing and not can_checkpoint(model):
        raise BadInput(
            "--checkpointing is not for U-Nets: use a smaller --micro-batch, which costs no extra "
            "computation beyond the replay."
        )
    options = rotation.differentiable(architecture.NAME, _attention())
    if architecture.NAME == MMDIT:
        slots = {
            ("double_block", index): PlainJointBlock(block, checkpointing)
            for index, block in enumerate(model.diffusion_model.joint_blocks)
        }
        return {**options, "patches_replace": {"dit": slots}}
    if not checkpointing:
        return options
    from comfy.patcher_extension import WrappersMP

    recompute = Recompute(architecture.layers(model))
    return {**options, "wrappers": {WrappersMP.APPLY_MODEL: {KEY: [recompute]}}}


def recomputes(options: Mapping[str, Any]) -> bool:
    """Whether these options compute blocks again by `recompute`."""
    return any(KEY in by_key for by_key in options.get("wrappers", {}).values())


def with_adapter(options: Mapping[str, Any], application: Application) -> dict[str, Any]:
    """The options of training with an adapter in them, its wrapper around those of training."""
    found = model_options(application)
    wrappers = dict(found["wrappers"])
    for kind, by_key in options.get("wrappers", {}).items():
        wrappers[kind] = {**wrappers.get(kind, {}), **by_key}
    patches = {**options.get("patches", {}), **found["patches"]}
    return {**options, "wrappers": wrappers, "patches": patches}


def _attention() -> dict[str, Any]:
    """PyTorch's own attention in place of what the server was started with: builds of xformers,
    sage and flash attention need have no backward pass. Nothing where it is used anyway."""
    from comfy.ldm.modules import attention

    if attention.optimized_attention is attention.attention_pytorch:
        return {}
    return {"optimized_attention_override": _pytorch_attention}


def _pytorch_attention(replaced: Callable[..., Any], *given: Any, **named: Any) -> Any:
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(*given, **named)
