"""What a model is called with in training, through ComfyUI's own slots for patches: an attention
that has a backward pass, and activation checkpointing of an MMDiT's joint blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import BadInput


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


def training_options(model: torch.nn.Module, checkpointing: bool) -> dict[str, Any]:
    """`transformer_options` to train with; the adapter's patches wrap what is in them.

    Raises BadInput where checkpointing is asked of a U-Net: ComfyUI's has no slot around a block.
    """
    blocks = getattr(model.diffusion_model, "joint_blocks", None)
    if blocks is None:
        if checkpointing:
            raise BadInput(
                "--checkpointing works for SD3 and SD3.5 only: use a smaller --micro-batch, which "
                "costs no extra computation beyond the replay."
            )
        return _attention()
    slots = {
        ("double_block", index): PlainJointBlock(block, checkpointing)
        for index, block in enumerate(blocks)
    }
    return {**_attention(), "patches_replace": {"dit": slots}}


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
