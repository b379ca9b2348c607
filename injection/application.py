"""One adapter applied to one model: what to add, where, how strongly and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..softrepa.adapter import Adapter
from ..softrepa.schedule import read_table
from .blocks.rows import of_branches


@dataclass(frozen=True)
class BlockTokens:
    """Where one block of the model finds its tokens, and how strongly they act.

    row: index into the adapter's L. strength: 1 for the trained effect, never the number 0 (such a
    block is left out); in a call a tensor of no dimensions where it follows a curve, or (N,) where
    negative prompts have a share of it only. curve: index of the curve that multiplies it, in the
    Application's table. in_attention: the strength is how often a token counts in the block's
    attention, not a blend of the block with and without them.
    """

    row: int
    strength: float | Tensor
    curve: int | None = None
    in_attention: bool = False


@dataclass(frozen=True, eq=False)
class Application:
    """An immutable patch. It lies in a model's `transformer_options["patches"]["softrepa"]`, where
    ComfyUI clones, deep-copies and moves it with the model.

    blocks: by the model's block names ("3", "input.4").
    start_percent, end_percent: share of the sampling schedule, 0 ... 1, as everywhere in ComfyUI.
    bank: 0 for psi+, 1 for psi-; or a (B,) tensor of them, one a sample (training).
    curves: the table (`softrepa.schedule.table`) of the curves that blocks follow, if any does.
    negative_share: of the strength, for the samples of negative prompts.
    """

    adapter: Adapter
    blocks: Mapping[str, BlockTokens]
    start_percent: float = 0.0
    end_percent: float = 1.0
    bank: int | Tensor = 0
    curves: Tensor | None = None
    negative_share: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", MappingProxyType(dict(self.blocks)))

    def active(self, sigma: Tensor, model_sampling: Any) -> bool:
        """Whether the schedule stands within [start_percent, end_percent] at this sigma.

        The whole schedule needs no look at sigma. Part of it costs one comparison on the host a
        call, as ComfyUI's own conditioning ranges do.
        """
        if self.start_percent <= 0.0 and self.end_percent >= 1.0:
            return True
        first = model_sampling.percent_to_sigma(self.start_percent)
        last = model_sampling.percent_to_sigma(self.end_percent)
        current = sigma.amax()
        return bool((current <= first) & (current >= last))

    def on(self, model: torch.nn.Module, options: Mapping[str, Any]) -> Application:
        """What to add to this call of the model: itself. A conditioning's stand-in fits one."""
        return self

    def blocks_at(
        self, sigma: Tensor, model_sampling: Any, cond_or_uncond: Sequence[int] = ()
    ) -> Mapping[str, BlockTokens]:
        """The blocks with the strengths they have at this sigma, where the tensors lie as well.

        A curve is read as a tensor: a compiled model meets the same code at every step.
        cond_or_uncond: 1 for each chunk of samples that is of a negative prompt, else 0.
        """
        blocks = self.blocks
        if self.curves is not None:
            factors = read_table(self.curves, sigma, model_sampling.sigmas.to(sigma))
            blocks = {
                name: block
                if block.curve is None
                else replace(block, strength=block.strength * factors[block.curve], curve=None)
                for name, block in blocks.items()
            }
        if self.negative_share == 1.0:
            return blocks
        return _times(blocks, of_branches(sigma, cond_or_uncond, self.negative_share))

    def scaled(self, factor: float) -> Application:
        """The same with every strength multiplied; without blocks where the factor is 0."""
        if factor == 1.0:
            return self
        return replace(self, blocks=_times(self.blocks, factor))

    def to(self, *args: Any, **kwargs: Any) -> Application:
        """This patch on another device. A dtype is ignored: tokens stay float32 until used."""
        # From where it is: ComfyUI calls with the device, and then with the model's dtype alone.
        here = torch.empty(0, device=self.adapter.tokens.device)
        adapter = self.adapter.to(here.to(*args, **kwargs).device)
        if adapter is self.adapter:
            return self
        curves = None if self.curves is None else self.curves.to(adapter.tokens.device)
        return replace(self, adapter=adapter, curves=curves)

    def __deepcopy__(self, memo: dict[int, Any]) -> Application:
        return self


def _times(blocks: Mapping[str, BlockTokens], factor: float | Tensor) -> dict[str, BlockTokens]:
    """The blocks with every strength multiplied; none where the factor is the number 0."""
    if not isinstance(factor, Tensor) and factor == 0.0:
        return {}
    return {
        name: replace(block, strength=block.strength * factor) for name, block in blocks.items()
    }
