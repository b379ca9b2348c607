"""Strength as the weight of soft tokens in attention: log(weight) on their scores, in one pass.

For every architecture whose attention goes through ComfyUI's `optimized_attention` with the options
of the call: `weigh` gives options under which the keys of one adapter count `weight` times,
`lengthened` keeps earlier ones in their places when more text is put beside them. A key that counts
w times is what w equal keys would be, so weight 1 is the adapter as trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.ldm.modules import attention as comfy_attention
from torch import Tensor

OVERRIDE = "optimized_attention_override"
"""ComfyUI's key for a function that is called in place of its attention."""
WEIGHTS = "softrepa_attention_weights"
"""Ours, in the options of one block's call: the AttentionWeights."""

MADE = "softrepa_masks"
"""Ours, in the options of one call of the model: the masks that its blocks have made so far."""

_WITHOUT_MASKS = {"attention_sage", "attention3_sage", "attention_flash"}
"""Attentions of ComfyUI that drop a mask, or refuse it with a warning at every call."""
_NOTHING = -1e4
"""The logarithm of weight 0: a finite number, since a chunk of nothing but -inf gives NaN."""


@dataclass(frozen=True, eq=False)
class WeighedKeys:
    """Keys start ... start + count of an attention, and how often each of them counts.

    start: a number, or (B,) of them, one a sample. weight: a number from 0 on, or a tensor of no
    dimensions or (B,).
    """

    start: int | Tensor
    count: int
    weight: float | Tensor


@dataclass(frozen=True, eq=False)
class LostKeys:
    """So many rows of zeros that tokens took the place of, and how often each counts all the same.

    weight: a number from 0 on, or a tensor of no dimensions or (B,).
    """

    count: int
    weight: float | Tensor


@dataclass(frozen=True, eq=False)
class AttentionWeights:
    """What one block's attention is to weigh.

    keys: the adapters', the latest first. length: keys in all; another attention of the same block
    (SD3.5's of the picture to itself) has fewer and is left alone. previous: the override that
    another pack put there. met: grows by one whenever an attention was weighed. lost: rows of
    zeros, keys and values alike, that stood where tokens stand now. cross: whether the options are
    a whole block's, of whose attentions the one to itself is not meant.
    """

    keys: tuple[WeighedKeys, ...]
    length: int
    previous: Callable[..., Tensor] | None
    met: list[int]
    lost: tuple[LostKeys, ...] = ()
    cross: bool = False

    def are_of(self, query: Tensor, key: Tensor) -> bool:
        """Whether this attention is the one that is meant, with a row a sample where samples
        differ: regional packs compute more rows, of other texts."""
        if self.cross and query.shape[-2] == key.shape[-2]:
            return False
        by_sample = [keys.start for keys in self.keys if isinstance(keys.start, Tensor)]
        by_sample += [
            each.weight
            for each in (*self.keys, *self.lost)
            if isinstance(each.weight, Tensor) and each.weight.dim()
        ]
        rows = all(len(each) == key.shape[0] for each in by_sample)
        return rows and key.shape[-2] == self.length

    def once(self, query: Tensor, made: dict[Any, Tensor] | None) -> Tensor:
        """`bias`, or the one that an earlier block of the same call has made of equal numbers."""
        keys, lost = (
            tuple(tuple(vars(each).values()) for each in some) for some in (self.keys, self.lost)
        )
        numbers = [number for each in (*keys, *lost) for number in each]
        if made is None or any(isinstance(number, Tensor) for number in numbers):
            return self.bias(query)
        name = (keys, lost, self.length, query.dtype, query.device)
        if name not in made:
            made[name] = self.bias(query)
        return made[name]

    def bias(self, query: Tensor) -> Tensor:
        """(1 or B, 1, 1, length + those that are lost), what is added to the scores, in the
        query's dtype."""
        row = query.new_zeros(1, self.length, dtype=torch.float32)
        for keys in self.keys:
            added = _logarithm(keys.weight)
            if isinstance(keys.start, Tensor):
                behind = torch.arange(self.length, device=row.device) - keys.start.unsqueeze(1)
                row = torch.where((behind >= 0) & (behind < keys.count), added, row)
                continue
            if isinstance(added, Tensor) and len(added) > len(row):
                row = row.repeat(len(added), 1)
            row[:, keys.start : keys.start + keys.count] = added
        for keys in self.lost:
            added = row.new_zeros(row.shape[0], keys.count) + _logarithm(keys.weight)
            row = torch.cat((row.expand(len(added), -1), added), dim=1)
        return row.to(query.dtype)[:, None, None]


def _logarithm(weight: float | Tensor) -> float | Tensor:
    """A number, or (1 or B, 1)."""
    if isinstance(weight, Tensor):
        return weight.float().clamp_min(0.0).log().clamp_min(_NOTHING).view(-1, 1)
    return math.log(weight) if weight > 0.0 else _NOTHING


def weigh(
    options: Mapping[str, Any],
    keys: tuple[WeighedKeys, ...],
    length: int,
    lost: tuple[LostKeys, ...] = (),
) -> dict[str, Any]:
    """A copy of these options of one block's call under which these keys are weighed too.

    length: keys of the attention that is meant, in all, without those that are lost.
    """
    there = options.get(WEIGHTS)
    if there is None:
        weights = AttentionWeights(keys, length, options.get(OVERRIDE), [], lost)
    else:
        weights = replace(there, keys=(*keys, *there.keys), lost=(*there.lost, *lost))
    return {**options, OVERRIDE: weighed_attention, WEIGHTS: weights}


def lengthened(options: Mapping[str, Any], count: int, at: int) -> Mapping[str, Any]:
    """The options for a call with `count` keys more, put before key number `at`.

    Keys that start elsewhere in each sample keep their places: they must all stand before it.
    """
    there = options.get(WEIGHTS)
    if there is None:
        return options
    keys = tuple(
        replace(each, start=each.start + count)
        if not isinstance(each.start, Tensor) and each.start >= at
        else each
        for each in there.keys
    )
    return {**options, WEIGHTS: replace(there, keys=keys, length=there.length + count)}


def with_more(
    options: Mapping[str, Any], more: WeighedKeys, length: int, weighed: bool
) -> Mapping[str, Any]:
    """The options for a call with these keys more, whether they are weighed or not.

    length: keys that are there without them.
    """
    options = lengthened(options, more.count, more.start)
    return weigh(options, (more,), length + more.count) if weighed else options


def was_weighed(options: Mapping[str, Any]) -> bool:
    """Whether the call under these options of `weigh` has met an attention that took the weights.

    Not so where another pack calls an attention of its own, or ComfyUI's without the options.
    Compiled graphs keep no count: there the answer is always yes.
    """
    return torch.compiler.is_compiling() or bool(options[WEIGHTS].met)


def weighed_attention(
    attention: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    *others: Any,
    **named: Any,
) -> Tensor:
    """An `optimized_attention_override`: this attention, or the earlier override, with weights."""
    weights = named["transformer_options"][WEIGHTS]
    if weights.are_of(query, key):
        if not torch.compiler.is_compiling():
            weights.met.append(1)
        more = sum(keys.count for keys in weights.lost)
        if more:
            key, value = (torch.nn.functional.pad(each, (0, 0, 0, more)) for each in (key, value))
            mask = None if mask is None else _seen(mask, more)
        # A compiled graph keeps no such dictionary.
        made = None if torch.compiler.is_compiling() else named["transformer_options"].get(MADE)
        mask = _added(mask, weights.once(query, made))
        if getattr(attention, "__name__", "") in _WITHOUT_MASKS:
            attention = comfy_attention.attention_pytorch
    if weights.previous is not None:
        return weights.previous(attention, query, key, value, heads, mask, *others, **named)
    return attention(query, key, value, heads, mask, *others, **named)


def _seen(mask: Tensor, more: int) -> Tensor:
    """The mask for so many keys more, which all see."""
    return torch.nn.functional.pad(mask, (0, more), value=1 if mask.dtype == torch.bool else 0)


def _added(mask: Tensor | None, bias: Tensor) -> Tensor:
    if mask is None:
        return bias
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=bias.dtype).masked_fill(~mask, -torch.inf)
    while mask.dim() < 4:  # (queries, keys) and (batch, queries, keys) are ComfyUI's shapes too
        mask = mask.unsqueeze(0) if mask.dim() == 2 else mask.unsqueeze(1)
    return mask + bias
