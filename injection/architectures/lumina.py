"""Lumina 2 and Z-Image (NextDiT): tokens join the sequence of each layer at text position 0.

The network is given sigma, and turns it into 1 - sigma inside. ComfyUI has no patch point before a
layer, so the layers have hooks for the call. Text is counted from 1 on; position 0 is free. Where
rows stand in the sequence is told by their rotations alone, so tokens stand at its end, and what
other packs know of its parts stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.lumina.model import NextDiT
from torch import Tensor

from ...softrepa.adapter import Adapter
from ...softrepa.tokens import bucket_of_sigma
from ..application import BlockTokens
from ..blocks.attention_weight import WeighedKeys, with_more
from ..blocks.hooks import Arguments, add_hooks
from ..blocks.joint_sequence import grow_mask
from ..blocks.rows import follow_rows, strength_of_rows
from ..blocks.strength import is_full

NAME = "lumina"
bucket = bucket_of_sigma
_AXES = 3
WRITES = False


def layers(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    return tuple(model.diffusion_model.layers)


def guidance(model: torch.nn.Module) -> None:
    return None


def matches(model: torch.nn.Module) -> bool:
    return isinstance(model.diffusion_model, NextDiT)


def blocks(model: torch.nn.Module) -> tuple[str, ...]:
    return tuple(map(str, range(len(model.diffusion_model.layers))))


def widths(model: torch.nn.Module) -> tuple[int, ...]:
    return (model.diffusion_model.dim,)


def offset_width(model: torch.nn.Module) -> int:
    return model.diffusion_model.dim


def embedder(adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype) -> None:
    return None


def add_patches(
    options: dict[str, Any],
    model: torch.nn.Module,
    adapter: Adapter,
    tokens: Tensor,
    blocks: Mapping[str, BlockTokens],
) -> None:
    network = model.diffusion_model
    ids = torch.zeros((1, tokens.shape[2], _AXES), dtype=torch.float32, device=tokens.device)
    rotations = network.rope_embedder(ids).movedim(1, 2)
    patches = {
        network.layers[int(name)]: LayerPatch(
            tokens[:, block.row], block.strength, rotations, block.in_attention
        )
        for name, block in blocks.items()
    }
    add_hooks(options, patches)


@dataclass(frozen=True, eq=False)
class LayerPatch:
    """One layer's tokens, at the end of its sequence.

    tokens: (N or 1, K, W) float32, one row a sample. rotations: (1, K, 1, D/2, 2, 2).
    """

    tokens: Tensor
    strength: float | Tensor
    rotations: Tensor
    in_attention: bool = False

    def grow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        sequence, mask, rotations, *others = args
        samples, whole, _ = sequence.shape
        count = self.tokens.shape[1]
        options = kwargs.get("transformer_options") or {}
        chunks = options.get("cond_or_uncond") or ()
        weighed = self.in_attention and not is_full(self.strength)
        strength = strength_of_rows(self.strength, samples, samples, chunks)
        options = with_more(options, WeighedKeys(whole, count, strength), whole, weighed)
        kwargs = {**kwargs, "transformer_options": options}
        tokens = follow_rows(self.tokens, samples, samples, chunks).to(sequence)
        rows = self.rotations.to(rotations).expand(rotations.shape[0], *[-1] * 5)
        if mask is not None:
            mask = grow_mask(mask, whole, count, whole)
        clean = kwargs.get("timestep_zero_index")
        if clean is not None:
            # Z-Image beside reference pictures: the slices that have the picture's own time.
            kwargs = {**kwargs, "timestep_zero_index": [*clean, (whole, whole + count)]}
        longer = (torch.cat((sequence, tokens), 1), mask, torch.cat((rotations, rows), 1))
        return (*longer, *others), kwargs

    def cut(self, output: Tensor) -> Tensor:
        return output[:, : -self.tokens.shape[1]]
