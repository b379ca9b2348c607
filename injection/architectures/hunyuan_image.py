"""HunyuanImage 2.1: tokens stand beside the text of the double blocks, all of it at position 0.

The network is given t in 0 ... 1000. Older cores put the picture before the text.
"""

from __future__ import annotations

from typing import Any

from comfy.ldm.hunyuan_video.model import HunyuanVideo

from ...softrepa.tokens import bucket
from ..blocks.joint_sequence import JointSequence, at_zero
from .double_blocks import DoubleBlocks


def _at_zero(network: Any) -> JointSequence:
    picture_first = getattr(network.double_blocks[0], "flipped_img_txt", False)
    return JointSequence(at_zero, text_first=not picture_first)


HUNYUAN_IMAGE = DoubleBlocks(
    "hunyuan_image",
    bucket,
    HunyuanVideo,
    "double_blocks",
    lambda network: network.hidden_size,
    _at_zero,
    # The video models and the refiner have patches of three dimensions.
    chosen=lambda network: len(network.patch_size) == 2,
    joined="single_blocks",
    WRITES=True,
    embeds=True,
)
