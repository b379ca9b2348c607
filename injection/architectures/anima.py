"""Anima and Cosmos-Predict2 (MiniTrainDIT): tokens in the context of each block's cross-attention.

Anima's network is given sigma, Predict2's sigma / (sigma + 1): both in 0 ... 1, and the bucket is
floor(t * buckets) of that, as anima_lora's trainer has it. (Its own ComfyUI node divides by 1000
what is in 0 ... 1 already, and so always takes bucket 0.)

Both texts end in rows of zeros, up to 512 in all, and attention looks at them: tokens are written
over zeros, right after the text or at the end. Newer cores have a patch point for that; where there
is none, and where a block runs with and without the tokens, its cross-attention has hooks.

As weights in attention a strength s lets each token count s times, and the padding that it took the
place of 1 - s times (not at all above 1), so that 0 is the model here too.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.ldm.cosmos.predict2 import Attention, MiniTrainDIT
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...softrepa.adapter import Adapter
from ...softrepa.tokens import bucket_of_sigma
from ..application import BlockTokens
from ..blocks.attention_weight import WEIGHTS, LostKeys, WeighedKeys, weigh, with_more
from ..blocks.hooks import Arguments, add_hooks
from ..blocks.rows import follow_rows, strength_of_rows
from ..blocks.strength import is_full

NAME = "anima"
bucket = bucket_of_sigma
PADDED = 512
"""Rows that ComfyUI fills a context up to. A longer one is all text."""
_NEGPIP = "ppm_negpip"
"""What ComfyUI-ppm's NegPip calls its wrapper of the network: its cross-attention calls no patches.
"""

_HAS_PATCHES = "transformer_options" in inspect.signature(Attention.compute_qkv).parameters
WRITES = False


def layers(model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    return tuple(model.diffusion_model.blocks)


def guidance(model: torch.nn.Module) -> None:
    return None


def matches(model: torch.nn.Module) -> bool:
    return isinstance(model.diffusion_model, MiniTrainDIT)


def blocks(model: torch.nn.Module) -> tuple[str, ...]:
    return tuple(map(str, range(len(model.diffusion_model.blocks))))


def widths(model: torch.nn.Module) -> tuple[int, ...]:
    return (model.diffusion_model.blocks[0].cross_attn.k_proj.in_features,)


def offset_width(model: torch.nn.Module) -> int:
    return widths(model)[0]


def embedder(adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype) -> None:
    return None


def add_patches(
    options: dict[str, Any],
    model: torch.nn.Module,
    adapter: Adapter,
    tokens: Tensor,
    blocks: Mapping[str, BlockTokens],
) -> None:
    at_end = adapter.placement == "end_of_sequence"
    patches = {
        int(name): ContextPatch(tokens[:, block.row], block.strength, at_end, block.in_attention)
        for name, block in blocks.items()
    }
    partial = not all(is_full(block.strength) for block in blocks.values())
    network = model.diffusion_model
    once = all(is_full(block.strength) or block.in_attention for block in blocks.values())
    if tokens.requires_grad and once:
        # In training: as arguments of whole blocks, which a backward pass can compute again.
        whole = {
            network.blocks[int(name)]: WholeBlockPatch(
                tokens[:, block.row], block.strength, at_end, block.in_attention
            )
            for name, block in blocks.items()
        }
        add_hooks(options, whole)
        return
    wrappers = options.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL, {})
    if _HAS_PATCHES and not partial and _NEGPIP not in wrappers:
        found = dict(options.get("patches", {}))
        found["attn2_patch"] = [*found.get("attn2_patch", ()), ContextPatches(patches)]
        options["patches"] = found
        return
    add_hooks(options, {network.blocks[k].cross_attn: patch for k, patch in patches.items()})


@dataclass(frozen=True, eq=False)
class ContextPatch:
    """One block's tokens, written over the padding of its context.

    tokens: (N or 1, K, W) float32, one row a sample. at_end: at the context's end, not right after
    its text.
    """

    tokens: Tensor
    strength: float | Tensor
    at_end: bool
    in_attention: bool = False

    def written(self, context: Tensor, queries: int, options: Mapping[str, Any]) -> Tensor:
        """context: (B, S, W). Returns (B, S, W), or K rows more where the context is all text."""
        return self._put(context, queries, options, self._places(context))

    def grow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        picture, context, *others = args
        options = kwargs.get("transformer_options") or {}
        at, count, length = self._places(context), self.tokens.shape[1], context.shape[1]
        longer = self._put(context, picture.shape[0], options, at)
        weighed = self.in_attention and not is_full(self.strength)
        strength = strength_of_rows(
            self.strength, picture.shape[0], len(context), options.get("cond_or_uncond") or ()
        )
        if at is None:
            options = with_more(options, WeighedKeys(length, count, strength), length, weighed)
        elif weighed:
            rest = 1.0 - strength
            rest = rest.clamp_min(0.0) if isinstance(rest, Tensor) else max(rest, 0.0)
            keys = (WeighedKeys(at[:, 0], count, strength),)
            options = weigh(options, keys, length, (LostKeys(count, rest),))
        return (picture, longer, *others), {**kwargs, "transformer_options": options}

    def _put(
        self, context: Tensor, queries: int, options: Mapping[str, Any], at: Tensor | None
    ) -> Tensor:
        chunks = options.get("cond_or_uncond") or ()
        tokens = follow_rows(self.tokens, queries, context.shape[0], chunks).to(context)
        if at is None:
            return torch.cat((context, tokens), dim=1)
        return context.scatter(1, at.unsqueeze(-1).expand_as(tokens), tokens)

    def _places(self, context: Tensor) -> Tensor | None:
        """Where the tokens are written, (B, K); None where they follow the context."""
        count = self.tokens.shape[1]
        if context.shape[1] > PADDED or context.shape[1] < count:
            return None
        begin, end = _padding(context)
        last = (end - count).clamp(min=0)
        # Where the text leaves less than K rows of padding, its own last rows give way.
        start = last if self.at_end else torch.minimum(begin, last)
        return start.unsqueeze(1) + torch.arange(count, device=context.device)

    def cut(self, output: Tensor) -> Tensor:
        return output


@dataclass(frozen=True, eq=False)
class WholeBlockPatch(ContextPatch):
    """The same in the context that a block is given, which only its cross-attention looks at."""

    def grow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        picture, time, context, *others = args
        (_, written), kwargs = super().grow((picture, context), kwargs)
        options = kwargs["transformer_options"]
        if WEIGHTS in options:
            options = {**options, WEIGHTS: replace(options[WEIGHTS], cross=True)}
            kwargs = {**kwargs, "transformer_options": options}
        return (picture, time, written, *others), kwargs


def _padding(context: Tensor) -> tuple[Tensor, Tensor]:
    """Where the last rows of zeros begin, and where they end: (B,) each, (S, S) where none are.

    They end before S where another adapter has written its tokens at the end. No host sync.
    """
    length = context.shape[1]
    numbers = torch.arange(1, length + 1, device=context.device)
    text = context.any(dim=-1)
    end = (~text * numbers).amax(dim=1)
    end = torch.where(end > 0, end, length)
    begin = (text * numbers * (numbers <= end.unsqueeze(1))).amax(dim=1)
    return begin, end


@dataclass(frozen=True, eq=False)
class ContextPatches:
    """An attn2_patch over the network: each block's tokens in its context, by block number."""

    patches: Mapping[int, ContextPatch]

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, *, extra_options: dict[str, Any], **_: Any
    ) -> dict[str, Tensor]:
        patch = self.patches.get(extra_options.get("block_index"))
        if patch is None:
            return {}
        written = patch.written(key, query.shape[0], extra_options)
        if value is not key:
            value = patch.written(value, query.shape[0], extra_options)
        return {"k": written, "v": written if value is key else value}
