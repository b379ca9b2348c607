"""The token arithmetic: timestep bucket, offset, bank. Pure functions, no host synchronisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .adapter import Adapter

TRAINED_STEPS = 1000
"""Timesteps run over 0 ... 1000 in SD1.5, SDXL, SD3 and some others; the rest are given sigma."""


def bucket(timestep: Tensor, buckets: int) -> Tensor:
    """Timestep bucket of each sample: int(t) // 10 for the usual 100 buckets.

    timestep: (B,), what the network itself is given, 0 ... 1000. Returns (B,) int64.
    Where int(t) reaches 1000 anywhere in the batch, every int(t) in it is lowered by one first,
    as the reference does.
    """
    step = timestep.to(torch.int64)
    step = step - (step.amax() >= TRAINED_STEPS).to(torch.int64)
    return (step * buckets // TRAINED_STEPS).clamp(0, buckets - 1)


def bucket_of_sigma(sigma: Tensor, buckets: int) -> Tensor:
    """Timestep bucket of each sample where the network is given sigma: floor(sigma * buckets).

    sigma: (B,), 0 ... 1. Returns (B,) int64. Nothing is rounded first: anima_lora's trainer has 14
    buckets, whose edges are no thousandths.
    """
    return (sigma.float() * buckets).floor().to(torch.int64).clamp(0, buckets - 1)


def soft_tokens(
    adapter: Adapter,
    timestep: Tensor,
    bank: int | Tensor = 0,
    embed: Callable[[Tensor], Tensor] | None = None,
    bucket_of: Callable[[Tensor, int], Tensor] = bucket,
) -> Tensor:
    """The soft tokens of every block at these timesteps: tokens[k] (embedded) + offset[bucket][k].

    timestep: (B,), on the adapter's device: what the network is given, as `bucket_of` takes it.
    bank: 0 for psi+, 1 for psi-, or (B,) int64, one a sample. embed: the model's context embedder
    where the tokens are as wide as the raw context.
    Returns (B or 1, L, K, W) float32; differentiable in the adapter's tensors. The first dimension
    is 1 where neither time nor bank distinguishes the samples.
    """
    tokens = adapter.tokens[bank]
    if tokens.dim() == 3:
        tokens = tokens.unsqueeze(0)
    if embed is not None:
        tokens = embed(tokens).to(torch.float32)
    if adapter.offsets is None:
        return tokens
    step = bucket_of(timestep, adapter.buckets)
    offsets = adapter.offsets[bank if adapter.offsets.shape[0] > 1 else 0, step]
    return tokens + offsets.unsqueeze(2)
