"""SoftREPA's own files, and any other with its shapes: one bank of tokens.

(K, D) for U-Nets, shared by all chosen blocks; (L, K, D) for SD3, one set a joint block.
Reference: the authors' `dc_tokens.pth` with `dc_t_tokens.pth` beside it.
"""

from __future__ import annotations

from torch import Tensor

from ..adapter import Adapter
from ..families import UNET_FAMILIES
from .content import Content


def recognises(content: Content) -> bool:
    return content.tokens.dim() in (2, 3)


def read(content: Content) -> Adapter:
    tokens = content.tokens if content.tokens.dim() == 3 else content.tokens.unsqueeze(0)
    return from_banks(content, tokens.unsqueeze(0), mmdit_placement="prepend")


def from_banks(content: Content, tokens: Tensor, mmdit_placement: str) -> Adapter:
    """An adapter from (banks, L, K, D), its architecture told by the width and by L."""
    banks, blocks, _, width = tokens.shape
    # A lone set of a U-Net's width is shared over its blocks; sets a block mean an MMDiT.
    family = UNET_FAMILIES.get(width) if blocks == 1 else None
    return Adapter(
        tokens=tokens,
        offsets=content.split_offsets(banks, blocks, width),
        architecture="unet" if family else "mmdit",
        placement="after_bos" if family else mmdit_placement,
        layers=family.layers if family else tuple(map(str, range(blocks))),
        metadata=content.metadata,
    )
