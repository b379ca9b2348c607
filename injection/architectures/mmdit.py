"""SD3 and SD3.5: tokens stand beside the text stream of a joint block and are stripped after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
from torch import Tensor

from ...softrepa.adapter import Adapter
from ...softrepa.tokens import bucket as bucket  # the network is given t in 0 ... 1000
from ..application import BlockTokens
from ..blocks.joint_block import JointBlockPatch
from ..blocks.joint_sequence import JointSequence

NAME = "mmdit"
WRITES = False


def layers(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    return ()  # ComfyUI recomputes joint blocks itself


def guidance(model: torch.nn.Module) -> None:
    return None


def matches(model: torch.nn.Module) -> bool:
    return isinstance(model.diffusion_model, MMDiT)


def blocks(model: torch.nn.Module) -> tuple[str, ...]:
    return tuple(map(str, range(len(model.diffusion_model.joint_blocks))))


def widths(model: torch.nn.Module) -> tuple[int, ...]:
    hidden = model.diffusion_model.hidden_size
    return (hidden, getattr(model.diffusion_model.context_embedder, "in_features", hidden))


def offset_width(model: torch.nn.Module) -> int:
    return model.diffusion_model.hidden_size


def embedder(
    adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype
) -> Callable[[Tensor], Tensor] | None:
    """The model's own context embedder, in its compute dtype, for tokens of raw text width."""
    hidden, raw = widths(model)
    if adapter.width == hidden or adapter.width != raw:
        return None
    return lambda tokens: model.diffusion_model.context_embedder(tokens.to(dtype))


def add_patches(
    options: dict[str, Any],
    model: torch.nn.Module,
    adapter: Adapter,
    tokens: Tensor,
    blocks: Mapping[str, BlockTokens],
    sequence: JointSequence | None = None,
    writes: bool = WRITES,
) -> None:
    """sequence: what grows with the text, where that is more than the text itself. writes: the
    WRITES of the architecture that the blocks are of."""
    replacements = dict(options.get("patches_replace", {}))
    joint_blocks = dict(replacements.get("dit", {}))
    for name, block in blocks.items():
        slot = ("double_block", int(name))
        joint_blocks[slot] = JointBlockPatch(
            tokens=tokens[:, block.row],
            strength=block.strength,
            append=adapter.placement == "append",
            previous=joint_blocks.get(slot),
            sequence=sequence,
            in_attention=block.in_attention,
            writes=writes,
        )
    replacements["dit"] = joint_blocks
    options["patches_replace"] = replacements
