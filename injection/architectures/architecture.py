"""What an architecture's file provides to put soft tokens into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ...softrepa.adapter import Adapter
from ..application import BlockTokens


class Architecture(Protocol):
    """One module an architecture.

    NAME: the key of `softrepa.adapter.PLACEMENTS` it serves. bucket: the timestep bucket of each
    sample, (time (B,), how many) -> (B,) int64, of the time that the network itself is given
    (`model_sampling.timestep`): 0 ... 1000 for some networks, sigma in 0 ... 1 for others.
    WRITES: whether its blocks write into what they are given, which no backward pass allows
    unless it is made to.
    """

    NAME: str
    bucket: Callable[[Tensor, int], Tensor]
    WRITES: bool

    def matches(self, model: torch.nn.Module) -> bool:
        """Whether this `comfy.model_base.BaseModel` is of the architecture."""

    def blocks(self, model: torch.nn.Module) -> tuple[str, ...]:
        """Names of the blocks that can take tokens, in the model's order."""

    def layers(self, model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
        """The modules that a backward pass can compute again in place of what they would keep: all
        that have text or picture in them. Empty where it cannot, or ComfyUI has its own way."""

    def guidance(self, model: torch.nn.Module) -> float | None:
        """What a network that embeds its guidance is told in training; None: as in sampling."""

    def widths(self, model: torch.nn.Module) -> tuple[int, ...]:
        """Widths that an adapter's tokens may have, the one for messages first."""

    def offset_width(self, model: torch.nn.Module) -> int:
        """The width at which timestep offsets are added."""

    def embedder(self, adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype) -> Any:
        """What tokens of raw text width pass through: tokens -> tokens; None where nothing."""

    def add_patches(
        self,
        options: dict[str, Any],
        model: torch.nn.Module,
        adapter: Adapter,
        tokens: Tensor,
        blocks: Mapping[str, BlockTokens],
    ) -> None:
        """Adds this call's patches to `options`, a copy of transformer_options made for the call.

        model: the `comfy.model_base.BaseModel` that is called. tokens: (N or 1, L, K, W) float32,
        one row a sample of the call.
        """
