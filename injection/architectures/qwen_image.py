"""Qwen-Image: tokens are appended to the text of each block, and counted on from its last position.

The network is given sigma. Its text begins at a position that depends on the picture's size, on all
three axes, so the tokens' rotations are the last text token's, turned further.
"""

from __future__ import annotations

from typing import Any

from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

from ...softrepa.tokens import bucket_of_sigma
from ..blocks.joint_sequence import Following, JointSequence
from .double_blocks import DoubleBlocks


def _after_the_text(network: Any) -> JointSequence:
    embedder = network.pe_embedder
    return JointSequence(Following(embedder, len(embedder.axes_dim)))


QWEN_IMAGE = DoubleBlocks(
    "qwen_image",
    bucket_of_sigma,
    QwenImageTransformer2DModel,
    "transformer_blocks",
    lambda network: network.inner_dim,
    _after_the_text,
)
