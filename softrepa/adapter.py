"""The adapter: soft text tokens per block and timestep, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from .errors import AdapterError

PLACEMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mmdit": ("prepend", "append"),
        "unet": ("after_bos",),
        "anima": ("front_of_padding", "end_of_sequence"),
        "flux": ("prepend", "append"),
        "flux2": ("append",),
        "chroma": ("prepend", "append"),
        "qwen_image": ("append",),
        "lumina": ("prepend",),
        "hunyuan_image": ("prepend", "append"),
        "wan": ("prepend", "append"),
        "aura_flow": ("prepend", "append"),
    }
)
"""Where the soft tokens go in the text sequence, per architecture; the first is the default."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """Soft tokens and what describes them.

    tokens: (banks, L, K, D) float32. Bank 0 is psi+, bank 1 (AGSM only) psi-. L is the number of
        blocks that have tokens of their own (1 where U-Net blocks share them), K the tokens a
        block, D the text width they are written in.
    offsets: (1 or banks, T, L, W) float32, added at timestep bucket 0 <= b < T at width W; or None.
    architecture: a key of PLACEMENTS.
    placement: one of PLACEMENTS[architecture].
    layers: the blocks it was trained for, by name: "input", "middle", "output" or one block such
        as "input.4" for U-Nets; "0", "1", ... for all others. Has L entries unless L is 1.
    metadata: what the file says about itself, strings to strings.

    Raises AdapterError where shapes and description contradict each other.
    """

    tokens: Tensor
    offsets: Tensor | None
    architecture: str
    placement: str
    layers: tuple[str, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        if self.placement not in PLACEMENTS.get(self.architecture, ()):
            raise AdapterError(
                f'An adapter for architecture "{self.architecture}" cannot place its tokens '
                f'"{self.placement}".'
            )
        if self.tokens.dim() != 4 or 0 in self.tokens.shape or self.banks > 2:
            raise AdapterError(
                "Adapter tokens must have the shape (1 or 2 banks, blocks, tokens, width); "
                f"found {tuple(self.tokens.shape)}."
            )
        if len(self.layers) != self.blocks and self.blocks != 1:
            raise AdapterError(
                f"The adapter has tokens for {self.blocks} blocks but names "
                f"{len(self.layers)}: {', '.join(self.layers)}."
            )
        if self.offsets is not None and (
            self.offsets.dim() != 4
            or self.offsets.shape[0] not in (1, self.banks)
            or self.offsets.shape[2] != self.blocks
        ):
            raise AdapterError(
                "Timestep offsets must have the shape (1 or banks, buckets, blocks, width) for "
                f"{self.banks} bank(s) of {self.blocks} block(s); "
                f"found {tuple(self.offsets.shape)}."
            )

    @property
    def banks(self) -> int:
        return self.tokens.shape[0]

    @property
    def blocks(self) -> int:
        """L: blocks with tokens of their own."""
        return self.tokens.shape[1]

    @property
    def tokens_per_block(self) -> int:
        return self.tokens.shape[2]

    @property
    def width(self) -> int:
        """D: the text width the tokens are written in."""
        return self.tokens.shape[3]

    @property
    def buckets(self) -> int:
        """T: timestep buckets, 0 where time plays no part."""
        return 0 if self.offsets is None else self.offsets.shape[1]

    @property
    def offset_width(self) -> int:
        """W: the width at which the offsets are added; the tokens' own where there are none."""
        return self.width if self.offsets is None else self.offsets.shape[3]

    @property
    def parameters(self) -> int:
        """Learned numbers in all."""
        return self.tokens.numel() + (0 if self.offsets is None else self.offsets.numel())

    @property
    def shared(self) -> bool:
        """True where all chosen blocks of a U-Net get the same tokens."""
        return self.architecture == "unet" and self.blocks == 1 and "." not in self.layers[0]

    def to(self, device: torch.device | str) -> Adapter:
        """The same adapter on another device; itself where it is there already. Stays float32."""
        if self.tokens.device == torch.device(device):
            return self
        offsets = None if self.offsets is None else self.offsets.to(device)
        return replace(self, tokens=self.tokens.to(device), offsets=offsets)

    def __deepcopy__(self, memo: dict[int, Any]) -> Adapter:
        # ComfyUI deep-copies a model's options at every clone; a value need not be copied.
        return self
