"""SD1.x, SD2.x, SDXL: tokens follow the first (BOS) token of the cross-attention context."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from torch import Tensor

from ..softrepa.adapter import Adapter
from .application import BlockTokens
from .strength import between, is_full

NAME = "unet"
_SPANS = "softrepa_spans"


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
        _blend_attention(options, partial)


def _block_id(name: str) -> tuple[str, int]:
    group, _, number = name.rpartition(".")
    return group, int(number)


@dataclass(frozen=True, eq=False)
class ContextPatch:
    """An attn2_patch: inserts each chosen block's tokens after the context's first token.

    tokens: (B or 1, L, K, W) float32, cast to the context's dtype here.
    """

    tokens: Tensor
    blocks: Mapping[tuple[str, int], BlockTokens]

    def __call__(
        self, query: Tensor, context: Tensor, value: Tensor, extra: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        block = self.blocks.get(extra["block"])
        if block is None:
            return query, context, value
        tokens = self.tokens[:, block.row]
        with_tokens = _insert(context, tokens)
        value = with_tokens if value is context or value is None else _insert(value, tokens)
        # `extra` lives for one block's call only: it tells AttentionBlend what stands where. The
        # latest insertion is the first in the context.
        extra[_SPANS] = ((tokens.shape[1], block.strength), *extra.get(_SPANS, ()))
        return query, with_tokens, value


def _insert(context: Tensor, tokens: Tensor) -> Tensor:
    tokens = tokens.to(context)
    # Regional packs run one sample under several contexts: the batch is then a multiple of ours.
    tokens = tokens.repeat(context.shape[0] // tokens.shape[0], 1, 1)
    return torch.cat((context[:, :1], tokens, context[:, 1:]), dim=1)


def _blend_attention(options: dict[str, Any], partial: set[tuple[str, int]]) -> None:
    """Puts an AttentionBlend before every attention of these blocks, around what is there."""
    replacements = dict(options.get("patches_replace", {}))
    slots = dict(replacements.get("attn2", {}))
    for block in partial:
        for slot in {block, *(key for key in slots if key[:2] == block)}:
            if not isinstance(slots.get(slot), AttentionBlend):
                slots[slot] = AttentionBlend(slots.get(slot))
    replacements["attn2"] = slots
    options["patches_replace"] = replacements


@dataclass(frozen=True, eq=False)
class AttentionBlend:
    """An attn2 replacement: plain + strength * (with tokens - plain), for each adapter in turn.

    Keys and values are computed once; only the attention itself runs again without the tokens.
    """

    previous: Callable[..., Tensor] | None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any]) -> Tensor:
        return self._blend(query, key, value, extra, 1, extra.get(_SPANS, ()))

    def _blend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        extra: dict[str, Any],
        start: int,
        spans: tuple[tuple[int, float | Tensor], ...],
    ) -> Tensor:
        if not spans:
            return self._attention(query, key, value, extra)
        (count, strength), rest = spans[0], spans[1:]
        with_tokens = self._blend(query, key, value, extra, start + count, rest)
        if is_full(strength):
            return with_tokens
        key, value = _cut(key, start, count), _cut(value, start, count)
        plain = self._blend(query, key, value, extra, start, rest)
        return between(plain, with_tokens, strength)

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any]
    ) -> Tensor:
        if self.previous is not None:
            return self.previous(query, key, value, extra)
        return optimized_attention(
            query,
            key,
            value,
            extra["n_heads"],
            attn_precision=extra["attn_precision"],
            transformer_options=extra,
        )


def _cut(sequence: Tensor, start: int, count: int) -> Tensor:
    return torch.cat((sequence[:, :start], sequence[:, start + count :]), dim=1)
