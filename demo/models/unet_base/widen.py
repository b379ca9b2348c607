"""The live channels among zeros: the network's weights as a native SD1.x U-Net's of 320 channels.

Whole groups of its group norms are live, so the dead ones normalise zeros to zeros, and every
dead weight is zero: the native network computes what the small one does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .network import HEADS, NATIVE

TIME = 4 * NATIVE
FEED = 4 * NATIVE
"""Native channels of the timestep's embedding, and between the feed-forward layers."""


def widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`UNet`'s weights under the same names, in the native shapes and the same precision."""
    wide = {}
    for key, value in state.items():
        places = [_places(key, axis, size) for axis, size in enumerate(value.shape)]
        target = torch.zeros([size for _, size in places], dtype=value.dtype)
        target[torch.meshgrid(*(index for index, _ in places), indexing="ij")] = value
        wide[key] = target
    return wide


def _places(key: str, axis: int, size: int) -> tuple[Tensor, int]:
    """Where the entries along an axis of a weight lie natively, and how long that axis is."""
    first = torch.arange(size)
    if axis > 1:  # a convolution's window
        return first, size
    if key.startswith("time_embed."):
        return (first, NATIVE) if key == "time_embed.0.weight" and axis == 1 else (first, TIME)
    if (key == "input_blocks.0.0.weight" and axis == 1) or (key.startswith("out.2.") and axis == 0):
        return first, size  # latents
    if ".emb_layers." in key and axis == 1:
        return first, TIME
    if ".attn" in key:
        return _of_attention(key, axis, size)
    if ".ff.net.0." in key and axis == 0:  # values, then gates
        return _halves(size, FEED), 2 * FEED
    if ".ff.net.2.weight" in key and axis == 1:
        return first, FEED
    if _is_joined(key, axis):  # what comes from below, then what was kept
        return _halves(size, NATIVE), 2 * NATIVE
    return first, NATIVE


def _of_attention(key: str, axis: int, size: int) -> tuple[Tensor, int]:
    by_head = axis == (1 if ".to_out." in key else 0) and not key.endswith(".bias")
    if by_head:
        place = torch.arange(size)
        return place // (size // HEADS) * (NATIVE // HEADS) + place % (size // HEADS), NATIVE
    is_text = axis == 1 and ".attn2." in key and (".to_k." in key or ".to_v." in key)
    return torch.arange(size), size if is_text else NATIVE


def _is_joined(key: str, axis: int) -> bool:
    """Whether the axis is of an output block's two inputs."""
    if not key.startswith("output_blocks."):
        return False
    inputs = axis == 1 and (".in_layers.2.weight" in key or ".skip_connection.weight" in key)
    return inputs or ".in_layers.0." in key


def _halves(size: int, second: int) -> Tensor:
    half = torch.arange(size // 2)
    return torch.cat((half, second + half))
