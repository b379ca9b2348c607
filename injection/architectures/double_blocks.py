"""Networks whose blocks with text can be replaced, each in its slot `("double_block", k)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...softrepa.adapter import Adapter
from ..application import BlockTokens
from ..blocks.joint_sequence import JointSequence
from . import mmdit


@dataclass(frozen=True, eq=False)
class DoubleBlocks:
    """An architecture in a few lines: its tokens stand beside the text of its `text_blocks`.

    network: the class of the diffusion model. text_blocks: its attribute that holds the blocks.
    hidden: its attribute for the width of the text in them. sequence: what grows with the text,
    asked of each network. chosen: which networks of the class are meant. joined: its attribute that
    holds the layers after those, of text and picture as one. WRITES: see `Architecture`. embeds:
    whether it may embed its guidance, and is to be trained at 1.
    """

    NAME: str
    bucket: Callable[[Tensor, int], Tensor]
    network: type[torch.nn.Module]
    text_blocks: str
    hidden: Callable[[Any], int]
    sequence: Callable[[Any], JointSequence] = lambda network: JointSequence()
    chosen: Callable[[Any], bool] = lambda network: True
    joined: str | None = None
    WRITES: bool = False
    embeds: bool = False

    def matches(self, model: torch.nn.Module) -> bool:
        network = model.diffusion_model
        return isinstance(network, self.network) and self.chosen(network)

    def blocks(self, model: torch.nn.Module) -> tuple[str, ...]:
        return tuple(map(str, range(len(getattr(model.diffusion_model, self.text_blocks)))))

    def layers(self, model: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
        names = (self.text_blocks, self.joined)
        return tuple(
            each for name in names if name for each in getattr(model.diffusion_model, name)
        )

    def guidance(self, model: torch.nn.Module) -> float | None:
        embedded = self.embeds and model.diffusion_model.params.guidance_embed
        return 1.0 if embedded else None

    def widths(self, model: torch.nn.Module) -> tuple[int, ...]:
        return (self.hidden(model.diffusion_model),)

    def offset_width(self, model: torch.nn.Module) -> int:
        return self.hidden(model.diffusion_model)

    def embedder(self, adapter: Adapter, model: torch.nn.Module, dtype: torch.dtype) -> None:
        return None

    def add_patches(
        self,
        options: dict[str, Any],
        model: torch.nn.Module,
        adapter: Adapter,
        tokens: Tensor,
        blocks: Mapping[str, BlockTokens],
    ) -> None:
        sequence = self.sequence(model.diffusion_model)
        mmdit.add_patches(options, model, adapter, tokens, blocks, sequence, self.WRITES)
