"""Wan, text to video: tokens join the text that each block's cross-attention looks at.

The network is given t in 0 ... 1000. Cross-attention knows no positions, and gives no text back.
"""

from __future__ import annotations

from comfy.ldm.wan.model import WanModel

from ...softrepa.tokens import bucket
from ..blocks.joint_sequence import JointSequence
from .double_blocks import DoubleBlocks

WAN = DoubleBlocks(
    "wan",
    bucket,
    WanModel,
    "blocks",
    lambda network: network.dim,
    lambda network: JointSequence(cross=True),
    # Its relatives for pictures, sound and poses put more than text into the same sequence.
    chosen=lambda network: type(network) is WanModel and network.model_type == "t2v",
)
