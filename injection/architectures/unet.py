"""SD1.x, SD2.x, SDXL: tokens follow the first (BOS) token of the cross-attention context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

from ...softrepa.adapter import Adapter
from ...softrepa.tokens import bucket as bucket  # the network is given t in 0 ... 999
from ..application import BlockTokens
from ..blocks.attention_blend import SPANS, AttentionBlend, Span
from ..blocks.rows import follow_rows, strength_of_rows
from ..blocks.strength import is_full

NAME = "unet"
WRITES = False


def layers(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    return ()  # its blocks call each other's parts, with no place around one


def guidance(model: torch.nn.Module) -> None:
    return None


def matches(model: torch.nn.Module) -> bool:
    config = getattr(model.model_config, "unet_config", {})
    return isinstance(model.diffusion_model, UNetModel) and not config.get("use_temporal_attention")


def blocks(model: torch.nn.Module) -> tuple[str, ...]:
    return tuple(name for name, _ in _cross_attention(model))


def widths(model: torch.nn.Module) -> tuple[int, ...]:
    for _, transformer in _cross_attention(model):
        for block in transformer.transformer_blocks:
            if block.attn2 is not None:
                return (block.attn2.to_k.in_features,)
    return (0,)


def offset_width(model: torch.nn.Module) -> int:
    return widths(model)[0]


def embedder(adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype) -> None:
    return None


def _cross_attention(model: torch.nn.Module) -> Iterator[tuple[str, SpatialTransformer]]:
    """Name and transformer of each block with cross-attention, as transformer_options names it."""
    network = model.diffusion_model
    named = [(f"input.{index}", block) for index, block in enumerate(network.input_blocks)]
    named.append(("middle.0", network.middle_block))
    named += [(f"output.{index}", block) for index, block in enumerate(network.output_blocks)]
    for name, block in named:
        for layer in block or ():
            if isinstance(layer, SpatialTransformer):
                yield name, layer
                break


def add_patches(
    options: dict[str, Any],
    model: torch.nn.Module,
    adapter: Adapter,
    tokens: Tensor,
    blocks: Mapping[str, BlockTokens],
) -> None:
    by_block = {_block_id(name): block for name, block in blocks.items()}
    patches = dict(options.get("patches", {}))
    patches["attn2_patch"] = [*patches.get("attn2_patch", ()), ContextPatch(tokens, by_block)]
    options["patches"] = patches
    partial = {key for key, block in by_block.items() if not is_full(block.strength)}
    if partial:
        _blend_attention(options, model, partial)


def _block_id(name: str) -> tuple[str, int]:
    group, _, number = name.rpartition(".")
    return group, int(number)


@dataclass(frozen=True, eq=False)
class ContextPatch:
    """An attn2_patch: inserts each chosen block's tokens after the context's first token.

    tokens: (N or 1, L, K, W) float32, one row a sample, cast to the context's dtype here. It is
    called as ComfyUI's U-Nets do, and gives three tensors; or with `extra_options` by name, as its
    newer networks do, and gives them by name.
    """

    tokens: Tensor
    blocks: Mapping[tuple[str, int], BlockTokens]

    def __call__(
        self,
        query: Tensor,
        context: Tensor,
        value: Tensor | None = None,
        extra: dict[str, Any] | None = None,
        **named: Any,
    ) -> tuple[Tensor, Tensor, Tensor | None] | dict[str, Tensor | None]:
        by_name = extra is None
        extra = named["extra_options"] if extra is None else extra
        found = self._insert(query, context, value, extra)
        return dict(zip("qkv", found, strict=True)) if by_name else found

    def _insert(
        self, query: Tensor, context: Tensor, value: Tensor | None, extra: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        block = self.blocks.get(extra.get("block"))
        if block is None:
            return query, context, value
        tokens = self.tokens[:, block.row]
        chunks = extra.get("cond_or_uncond") or ()

        def insert(sequence: Tensor) -> Tensor:
            rows = follow_rows(tokens, query.shape[0], sequence.shape[0], chunks).to(sequence)
            return torch.cat((sequence[:, :1], rows, sequence[:, 1:]), dim=1)

        with_tokens = insert(context)
        value = with_tokens if value is context or value is None else insert(value)
        # `extra` lives for one block's call only: it tells AttentionBlend what stands where. The
        # latest insertion is the first in the context.
        rows = query.shape[0]
        strength = strength_of_rows(block.strength, rows, rows, chunks)
        span = Span(tokens.shape[1], strength, block.in_attention)
        extra[SPANS] = (span, *extra.get(SPANS, ()))
        return query, with_tokens, value


def _blend_attention(
    options: dict[str, Any], model: torch.nn.Module, partial: set[tuple[str, int]]
) -> None:
    """Puts an AttentionBlend before every attention of these blocks, around what is there."""
    layers = {
        _block_id(name): tuple(block.attn2 for block in transformer.transformer_blocks)
        for name, transformer in _cross_attention(model)
    }
    replacements = dict(options.get("patches_replace", {}))
    slots = dict(replacements.get("attn2", {}))
    for block in partial:
        for slot in {block, *(key for key in slots if key[:2] == block)}:
            if not isinstance(slots.get(slot), AttentionBlend):
                slots[slot] = AttentionBlend(slots.get(slot), layers.get(block, ()))
    replacements["attn2"] = slots
    options["patches_replace"] = replacements
