"""Rotary positions by a formula, where newer cores have a kernel that no gradient passes through.

Most networks of ComfyUI take a formula themselves when they are told that they train (see
`blocks.training_mode`). Anima's and Cosmos-Predict2's do not: their self-attention normalises
and rotates in one kernel, unless it is given no rotations. So these are taken from it by the patch
before it, and applied in front of the attention itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

_FUSED = ("anima",)
"""Architectures whose self-attention has such a kernel, on cores that have one."""


def differentiable(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a formula in place of such a kernel; as they are for all other models."""
    import comfy.model_management

    # An older core has no such kernels, and no such variable.
    if architecture not in _FUSED or not hasattr(comfy.model_management, "in_training"):
        return dict(options)
    rotate = Rotate(options.get("optimized_attention_override"))
    return {
        **options,
        "patches": {"attn1_patch": [rotate.take]},
        "optimized_attention_override": rotate,
    }


@dataclass(frozen=True, eq=False)
class Rotate:
    """An `optimized_attention_override` that rotates queries and keys first, where the attention is
    the one whose rotations were taken just before. previous: the override in its place."""

    previous: Callable[..., Tensor] | None
    taken: list[Tensor] = field(default_factory=list)

    def take(
        self, query: Tensor, key: Tensor, value: Tensor, *, pe: Tensor | None, **_: Any
    ) -> dict[str, Tensor | None]:
        """An `attn1_patch`: the self-attention is left without rotations."""
        self.taken[:] = [] if pe is None else [pe]
        return {"pe": None}

    def __call__(
        self, attention: Callable[..., Tensor], query: Tensor, key: Tensor, *rest: Any, **named: Any
    ) -> Tensor:
        if self.taken:
            pe = self.taken.pop()
            query, key = rotated(query, pe), rotated(key, pe)
        if self.previous is not None:
            return self.previous(attention, query, key, *rest, **named)
        return attention(query, key, *rest, **named)


def rotated(x: Tensor, rotations: Tensor) -> Tensor:
    """x: (B, H, S, D), whose halves are the pairs' first and second numbers. rotations: (1, S, 1,
    D/2, 2, 2) or, with further dimensions of one, any of as many numbers."""
    turn = rotations.reshape(1, 1, x.shape[2], x.shape[3] // 2, 2, 2)
    first, second = x.to(turn.dtype).chunk(2, dim=-1)
    pairs = [turn[..., row, 0] * first + turn[..., row, 1] * second for row in (0, 1)]

    return torch.cat(pairs, dim=-1).type_as(x)
