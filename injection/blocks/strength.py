"""A block's strength: a number, or a tensor where it follows a curve or differs by sample."""

from __future__ import annotations

import torch
from torch import Tensor


def is_full(strength: float | Tensor) -> bool:
    """Whether the trained effect is all there is to compute. Never looks into a tensor."""
    return not isinstance(strength, Tensor) and strength == 1.0


def between(plain: Tensor, with_tokens: Tensor, strength: float | Tensor) -> Tensor:
    """plain + strength * (with tokens - plain).

    plain, with_tokens: (B, ...). strength: a number, or a tensor of no dimensions or (B,). A tensor
    of 0 or 1 gives the bits of either.
    """
    if isinstance(strength, Tensor):
        if strength.dim():
            strength = strength.view(-1, *(1,) * (plain.dim() - 1))
        return torch.lerp(plain, with_tokens, strength.to(plain))
    return plain + strength * (with_tokens - plain)
