"""Two adapters made into one: a weighted sum of their numbers, or their tokens side by side."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from .adapter import Adapter
from .errors import AdapterError
from .families import describe


def weighted_sum(first: Adapter, second: Adapter, weights: tuple[float, float]) -> Adapter:
    """weights[0] * first + weights[1] * second, of tokens and timestep offsets alike.

    An adapter without offsets counts as one whose offsets are zero. Raises AdapterError unless both
    have the same kind, blocks, banks, tokens a block and timestep buckets.
    """
    _check_kind(first, second)
    if first.tokens_per_block != second.tokens_per_block:
        raise AdapterError(
            f"A weighted sum needs as many tokens in both adapters; the first has "
            f"{first.tokens_per_block} a block and the second {second.tokens_per_block}: "
            "concatenate them, or choose adapters of equal size."
        )
    return _made(
        first,
        second,
        weights[0] * first.tokens + weights[1] * second.tokens,
        _sum_offsets(first, second, weights),
        {"mode": "weighted sum", "weights": list(weights)},
    )


def concatenate(first: Adapter, second: Adapter) -> Adapter:
    """The tokens of both in every block, the first's before the second's.

    Timestep offsets belong to a block, not to one of its tokens. Raises AdapterError where the two
    adapters' offsets differ, or their kind, blocks or banks.
    """
    _check_kind(first, second)
    offsets = _same_offsets(first, second)
    tokens = torch.cat((first.tokens, second.tokens), dim=2)
    return _made(first, second, tokens, offsets, {"mode": "concatenate"})


def _check_kind(first: Adapter, second: Adapter) -> None:
    kinds = [describe(each.architecture, each.width) for each in (first, second)]
    if kinds[0] != kinds[1]:
        raise AdapterError(
            f"The first adapter is for {kinds[0]} and the second for {kinds[1]}: "
            "choose two that were trained for the same model."
        )
    if first.layers != second.layers or first.blocks != second.blocks:
        raise AdapterError(
            f"The first adapter has the blocks {', '.join(first.layers)} and the second "
            f"{', '.join(second.layers)}, not the same ones: apply them one after the other "
            "instead."
        )
    if first.banks != second.banks:
        raise AdapterError(
            "One adapter has a negative bank and the other has none: apply them one after the "
            "other instead."
        )
    if first.placement != second.placement:
        raise AdapterError(
            f"The first adapter places its tokens {first.placement.replace('_', ' ')} and the "
            f"second {second.placement.replace('_', ' ')}: apply them one after the other instead."
        )


def _sum_offsets(first: Adapter, second: Adapter, weights: tuple[float, float]) -> Tensor | None:
    scaled = [
        weight * adapter.offsets
        for weight, adapter in zip(weights, (first, second), strict=True)
        if adapter.offsets is not None
    ]
    if len(scaled) < 2:
        return scaled[0] if scaled else None
    if scaled[0].shape[1:] != scaled[1].shape[1:]:
        raise AdapterError(
            f"The first adapter has {first.buckets} timestep buckets of width "
            f"{first.offset_width} and the second {second.buckets} of width "
            f"{second.offset_width}: apply them one after the other instead."
        )
    return scaled[0] + scaled[1]


def _same_offsets(first: Adapter, second: Adapter) -> Tensor | None:
    found = (first.offsets, second.offsets)
    if found[0] is None and found[1] is None:
        return None
    if found[0] is None or found[1] is None or not torch.equal(*found):
        raise AdapterError(
            "The two adapters change with time differently, which one set of tokens cannot do: "
            "apply them one after the other instead."
        )
    return found[0]


def _made(
    first: Adapter,
    second: Adapter,
    tokens: Tensor,
    offsets: Tensor | None,
    how: dict[str, object],
) -> Adapter:
    titles = [each.metadata.get("modelspec.title", "untitled") for each in (first, second)]
    # What the sources say about their training is not true of the mixture.
    metadata = {
        "modelspec.title": f"Blend of {titles[0]} and {titles[1]}",
        "softrepa.blend": json.dumps({**how, "of": titles}),
    }
    return Adapter(tokens, offsets, first.architecture, first.placement, first.layers, metadata)
