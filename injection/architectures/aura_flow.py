"""AuraFlow: tokens stand beside the text of the double layers.

The network is given sigma. Text has no positions, and is never masked.
"""

from __future__ import annotations

from comfy.ldm.aura.mmdit import MMDiT

from ...softrepa.tokens import bucket_of_sigma
from .double_blocks import DoubleBlocks

AURA_FLOW = DoubleBlocks(
    "aura_flow",
    bucket_of_sigma,
    MMDiT,
    "double_layers",
    lambda network: network.cond_seq_linear.out_features,
    joined="single_layers",
)
