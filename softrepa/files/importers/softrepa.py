"""SoftREPA's own files, and any other with its shapes: one bank of tokens.

(K, D) for U-Nets, shared by all chosen blocks; (L, K, D) for SD3 and others, one set a block.
Reference: the authors' `dc_tokens.pth` with `dc_t_tokens.pth` beside it.
"""

from __future__ import annotations

from torch import Tensor

from ...adapter import PLACEMENTS, Adapter
from ...errors import AdapterError
from ...families import FAMILIES, UNET_FAMILIES
from .content import Content


def recognises(content: Content) -> bool:
    return content.tokens.dim() in (2, 3)


def read(content: Content) -> Adapter:
    tokens = content.tokens if content.tokens.dim() == 3 else content.tokens.unsqueeze(0)
    return from_banks(content, tokens.unsqueeze(0), placement="prepend")


def from_banks(content: Content, tokens: Tensor, placement: str) -> Adapter:
    """An adapter from (banks, L, K, D), its architecture told by the width and by L.

    Raises AdapterError where several architectures have that width and none was chosen.
    """
    banks, blocks, _, width = tokens.shape
    architecture = content.architecture or _told_by(content, blocks, width)
    family = UNET_FAMILIES.get(width)
    if architecture == "unet" and (family is None or blocks != 1):
        raise AdapterError(
            f"{content.name} has {blocks} block(s) of tokens of width {width}, which no U-Net has: "
            "choose another architecture in Load SoftREPA Adapter."
        )
    placements = PLACEMENTS[architecture]
    numbers = tuple(map(str, range(blocks)))
    return Adapter(
        tokens=tokens,
        offsets=content.split_offsets(banks, blocks, width),
        architecture=architecture,
        placement=placement if placement in placements else placements[0],
        layers=family.layers if architecture == "unet" else numbers,
        metadata=content.metadata,
    )


def _told_by(content: Content, blocks: int, width: int) -> str:
    # A lone set of a U-Net's width is shared over its blocks; the others have sets a block.
    if blocks == 1 and width in UNET_FAMILIES:
        return "unet"
    found = [name for name, widths in FAMILIES.items() if width in widths]
    # Both papers' authors have trained SD3: its widths mean it. So does one that is nobody's.
    if "mmdit" in found or not found:
        return "mmdit"
    if len(found) > 1:
        named = ", ".join(f"{each} for {FAMILIES[each][width]}" for each in found)
        raise AdapterError(
            f"{content.name} has tokens of width {width}, as have several models ({named}): choose "
            "the architecture in Load SoftREPA Adapter."
        )
    return found[0]
