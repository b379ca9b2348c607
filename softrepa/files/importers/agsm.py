"""AGSM's files: both banks, psi+ first, (2, L, K, D) for SD3 and (2, K, D) for U-Nets.

The timestep offsets are shared by the banks; on SD3 the tokens are appended to the text.
"""

from __future__ import annotations

from ...adapter import Adapter
from ...families import UNET_FAMILIES
from . import softrepa
from .content import Content


def recognises(content: Content) -> bool:
    shape = content.tokens.shape
    return len(shape) == 4 or (len(shape) == 3 and shape[0] == 2 and shape[2] in UNET_FAMILIES)


def read(content: Content) -> Adapter:
    tokens = content.tokens if content.tokens.dim() == 4 else content.tokens.unsqueeze(1)
    return softrepa.from_banks(content, tokens, placement="append")
