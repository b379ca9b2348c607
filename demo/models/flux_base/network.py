"""The second base's network: ComfyUI's own Flux, with a faster forward for training it.

Its text stands at position 0, as all of Flux.1's does, and its picture on two rotary axes: what the
first base has in a table of places is here told by rotations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..base import clip

HIDDEN = 128
"""Newer cores give a Flux one head for every 128."""
CHANNELS = 16
PARAMETERS: Mapping[str, Any] = {
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "vec_in_dim": clip.WIDTH,
    "context_in_dim": clip.WIDTH,
    "hidden_size": HIDDEN,
    "mlp_ratio": 4.0,
    "num_heads": 1,
    "depth": 2,
    "depth_single_blocks": 2,
    "axes_dim": [16, 56, 56],
    "theta": 10_000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": False,
    "txt_ids_dims": [],
}
"""What newer cores find in the file; without a guidance embedding they take it for Flux.1 schnell,
whose levels of noise are not shifted."""
Rotations = Tensor
"""(1, 1, S, HIDDEN / 2, 2, 2), as ComfyUI's `EmbedND` gives them."""


def parameters() -> dict[str, Any]:
    """PARAMETERS, of these those that this ComfyUI's Flux knows."""
    from comfy.ldm.flux.model import FluxParams

    known = {field.name for field in dataclasses.fields(FluxParams)}
    return {name: value for name, value in PARAMETERS.items() if name in known}


def build() -> nn.Module:
    """ComfyUI's Flux as its loader will detect it, initialised as DiT; float32.

    ComfyUI must be importable. Seeded by torch's global generator.
    """
    import comfy.ops
    from comfy.ldm.flux.model import Flux

    network = Flux(dtype=torch.float32, operations=comfy.ops.disable_weight_init, **parameters())
    _initialise(network)
    return network


def _initialise(network: Any) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif name.endswith(("query_norm", "key_norm")):
            nn.init.ones_(next(module.parameters()))  # "scale", or in newer cores "weight"
    with torch.no_grad():
        network.txt_in.weight.normal_(std=clip.WIDTH**-0.5)
        for embedder in (network.time_in, network.vector_in):
            embedder.in_layer.weight.normal_(std=0.02)
            embedder.out_layer.weight.normal_(std=0.02)
        for block in network.double_blocks:
            block.img_mod.lin.weight.zero_()
            block.txt_mod.lin.weight.zero_()
        for block in network.single_blocks:
            block.modulation.lin.weight.zero_()
        network.final_layer.adaLN_modulation[1].weight.zero_()
        network.final_layer.linear.weight.zero_()


def fill(network: Any, weights: Mapping[str, Tensor]) -> None:
    """Puts these weights into the network, under the names of a file or of this core."""
    known = network.state_dict().keys()
    # What files call "scale" newer cores call "weight", and rename as they load.
    named = {
        name if name in known else name.removesuffix("scale") + "weight": value.float()
        for name, value in weights.items()
    }
    network.load_state_dict(named)


def velocity(
    network: Any,
    x: Tensor,
    t: Tensor,
    context: Tensor,
    pooled: Tensor,
    tokens: Mapping[int, Tensor] | None = None,
    strength: float = 1.0,
    weight: float = 1.0,
    skipped: int | None = None,
) -> Tensor:
    """What ``network(x, t / 1000, full_context, pooled)`` computes, from short inputs.

    Arguments and result are those of `models.base.network.velocity`, with soft tokens of width 128
    in the double blocks.
    """
    from comfy.ldm.flux.layers import timestep_embedding

    picture, ids = _patches(x)
    image, text = network.img_in(picture), network.txt_in(context)
    condition = network.time_in(timestep_embedding(t / 1000, 256)) + network.vector_in(pooled)
    # All text is at position 0: so is one token that stands for the padding.
    ids = torch.cat((ids.new_zeros(1, text.shape[1], ids.shape[2]), ids), dim=1)
    rotations = network.pe_embedder(ids)
    bias = torch.cat((clip.bias_of(text.shape[1]), torch.zeros(image.shape[1])))
    for index, block in enumerate(network.double_blocks):
        if index == skipped:
            continue
        beside = (tokens or {}).get(index)
        plain = None
        if beside is None or strength != 1.0:
            plain = _double(block, text, image, condition, rotations, bias)
        if beside is None:
            text, image = plain
            continue
        there = _double_beside(block, beside, text, image, condition, rotations, bias, weight)
        if plain is not None:
            there = tuple(a + strength * (b - a) for a, b in zip(plain, there, strict=True))
        text, image = there
    joined = torch.cat((text, image), dim=1)
    for block in network.single_blocks:
        joined = _single(block, joined, condition, rotations, bias)
    out = network.final_layer(joined[:, text.shape[1] :], condition)
    return _unpatched(out, x.shape)


def _patches(x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 16, H, W) as (B, H/2 · W/2, 64), and where each patch stands: (1, H/2 · W/2, 3)."""
    batch, channels, height, width = x.shape
    rows, columns = height // 2, width // 2
    patches = x.reshape(batch, channels, rows, 2, columns, 2).permute(0, 2, 4, 1, 3, 5)
    ids = torch.zeros(rows, columns, 3)
    ids[..., 1] += torch.arange(rows)[:, None]
    ids[..., 2] += torch.arange(columns)
    return patches.reshape(batch, rows * columns, channels * 4), ids.reshape(1, -1, 3)


def _unpatched(patches: Tensor, shape: torch.Size) -> Tensor:
    batch, channels, height, width = shape
    grid = patches.reshape(batch, height // 2, width // 2, channels, 2, 2)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(shape)


def _double_beside(
    block: Any,
    tokens: Tensor,
    text: Tensor,
    image: Tensor,
    condition: Tensor,
    rotations: Rotations,
    bias: Tensor,
    weight: float,
) -> tuple[Tensor, Tensor]:
    """A block with soft tokens before its text, and without them after it."""
    count = tokens.shape[1]
    longer = torch.cat((tokens.to(text.dtype).expand(len(text), -1, -1), text), dim=1)
    at_zero = rotations[:, :, :1].expand(-1, -1, count, -1, -1, -1)
    rotations = torch.cat((at_zero, rotations), dim=2)
    bias = torch.cat((bias.new_full((count,), math.log(weight)), bias))
    out, image = _double(block, longer, image, condition, rotations, bias)
    return out[:, count:], image


def _double(
    block: Any,
    text: Tensor,
    image: Tensor,
    condition: Tensor,
    rotations: Rotations,
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    streams = []
    for sequence, name in ((text, "txt"), (image, "img")):
        first, second = getattr(block, f"{name}_mod")(condition)
        norm, attention = getattr(block, f"{name}_norm1"), getattr(block, f"{name}_attn")
        parts = _heads(attention.qkv(_modulated(norm, sequence, first)), block.num_heads)
        streams.append((sequence, name, first, second, attention.norm(*parts[:2], parts[2]), parts))
    query, key = (torch.cat([one[4][side] for one in streams], dim=2) for side in (0, 1))
    value = torch.cat([one[5][2] for one in streams], dim=2)
    mixed = _attention(query, key, value, rotations, bias)
    out = []
    for (sequence, name, first, second, *_), part in zip(
        streams, mixed.split((text.shape[1], image.shape[1]), dim=1), strict=True
    ):
        sequence = sequence + first.gate * getattr(block, f"{name}_attn").proj(part)
        inner = _modulated(getattr(block, f"{name}_norm2"), sequence, second)
        out.append(sequence + second.gate * getattr(block, f"{name}_mlp")(inner))
    return out[0], out[1]


def _single(
    block: Any, sequence: Tensor, condition: Tensor, rotations: Rotations, bias: Tensor
) -> Tensor:
    told, _ = block.modulation(condition)
    first = block.linear1(_modulated(block.pre_norm, sequence, told))
    qkv, inner = first.split((3 * HIDDEN, first.shape[-1] - 3 * HIDDEN), dim=-1)
    query, key, value = _heads(qkv, PARAMETERS["num_heads"])
    mixed = _attention(*block.norm(query, key, value), value, rotations, bias)
    return sequence + told.gate * block.linear2(torch.cat((mixed, block.mlp_act(inner)), dim=-1))


def _modulated(norm: nn.Module, sequence: Tensor, told: Any) -> Tensor:
    return norm(sequence) * (1 + told.scale) + told.shift


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, S, 3 · W) as three of (B, heads, S, W / heads)."""
    query, key, value = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return query, key, value


def _attention(
    query: Tensor, key: Tensor, value: Tensor, rotations: Rotations, bias: Tensor
) -> Tensor:
    query, key = _rotated(query, rotations), _rotated(key, rotations)
    # By hand, as in the first base: faster than PyTorch's attention at this length on a CPU.
    scores = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5 + bias
    return (scores.softmax(dim=-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)


def _rotated(x: Tensor, rotations: Rotations) -> Tensor:
    """The core's formula: its own functions write in place, or have no backward."""
    pairs = x.float().unflatten(-1, (-1, 1, 2))
    turned = rotations[..., 0] * pairs[..., 0] + rotations[..., 1] * pairs[..., 1]
    return turned.flatten(-2).to(x.dtype)
