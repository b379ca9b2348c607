"""The base model's MMDiT: ComfyUI's own module, with a faster forward for training it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import clip

DEPTH = 3
PATCH = 2
CONTEXT = 4096
POOLED = 2048
GRID = 8
"""Side of the learned place table in patches; pictures use its middle."""
CHANNELS = 16


def build() -> nn.Module:
    """ComfyUI's MMDiT as its loader will detect it, initialised as DiT; float32.

    `comfyui.attach` must have been called. Seeded by torch's global generator.
    """
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper

    network = OpenAISignatureMMDITWrapper(
        input_size=None,
        patch_size=PATCH,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        depth=DEPTH,
        adm_in_channels=POOLED,
        context_embedder_config={
            "target": "torch.nn.Linear",
            "params": {"in_features": CONTEXT, "out_features": 64 * DEPTH},
        },
        num_patches=GRID * GRID,
        pos_embed_max_size=GRID,
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    _initialise(network)
    return network


def _initialise(network: Any) -> None:
    from comfy.ldm.modules.diffusionmodules.mmdit import get_2d_sincos_pos_embed

    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        # Only CLIP-L's columns are ever used: the others of the context are always zero.
        network.context_embedder.weight.zero_()
        network.context_embedder.weight[:, : clip.WIDTH].normal_(std=clip.WIDTH**-0.5)
        network.y_embedder.mlp[0].weight.zero_()
        network.y_embedder.mlp[0].weight[:, : clip.WIDTH].normal_(std=0.02)
        for embedder in (network.t_embedder.mlp, network.y_embedder.mlp):
            embedder[2].weight.normal_(std=0.02)
        network.t_embedder.mlp[0].weight.normal_(std=0.02)
        for block in network.joint_blocks:
            for part in (block.context_block, block.x_block):
                part.adaLN_modulation[1].weight.zero_()
        network.final_layer.adaLN_modulation[1].weight.zero_()
        network.final_layer.linear.weight.zero_()
        places = torch.from_numpy(get_2d_sincos_pos_embed(64 * DEPTH, GRID)).float()
    # A buffer in ComfyUI; a parameter here, so that it is trained with the rest.
    del network.pos_embed
    network.pos_embed = nn.Parameter(places[None])


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
    maps: list[Tensor] | None = None,
    beneath: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """What ``network(x, t, full_context, full_pooled)`` computes, from short inputs.

    `x` (B, 16, 8, 8); `t` (B,) in 0..1000; `context` (B, R, 768), its last token standing for all
    padding; `pooled` (B, 768). `tokens`: by block, soft
    tokens (B or 1, K, 192) beside its text; on which side makes no difference, as the blocks know
    no order of text. `strength`: a block gives plain + strength · (with tokens - plain).
    `skipped`: a block that is left out, as skip-layer guidance does. `maps` gets, a block each,
    how much of its attention each patch gives to each row of `context`, the mean over heads
    (B, patches, R); with soft tokens, of the run with them, whatever the strength.
    `beneath`: by block, an earlier adapter's soft tokens, which act in full.
    """
    size = x.shape[-2:]
    image = network.x_embedder(x) + network.cropped_pos_embed(size).to(x.dtype)
    embedder, projector = network.context_embedder, network.y_embedder.mlp
    text = F.linear(context, embedder.weight[:, : clip.WIDTH], embedder.bias)
    summary = F.linear(pooled, projector[0].weight[:, : clip.WIDTH], projector[0].bias)
    condition = network.t_embedder(t, dtype=x.dtype) + projector[2](projector[1](summary))
    bias = torch.cat((clip.bias_of(text.shape[1]), torch.zeros(image.shape[1])))
    for index, block in enumerate(network.joint_blocks):
        if index == skipped:
            continue
        run = partial(_joint, block, condition=condition)
        if beneath is not None and index in beneath:
            run = partial(_beside, run, beneath[index], 1.0)
        if tokens is not None and index in tokens:
            with_tokens = _beside(run, tokens[index], weight, text, image, bias, maps)
            if strength != 1.0:
                plain = run(text, image, bias)
                with_tokens = tuple(map(lambda a, b: a + strength * (b - a), plain, with_tokens))
            text, image = with_tokens
        else:
            text, image = run(text, image, bias, maps)
    return network.unpatchify(network.final_layer(image, condition), hw=size)


def _beside(
    run: Callable[..., tuple[Tensor, Tensor]],
    tokens: Tensor,
    weight: float,
    text: Tensor,
    image: Tensor,
    bias: Tensor,
    maps: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """A block with soft tokens before its text, and without them after it."""
    count = tokens.shape[1]
    longer = torch.cat((tokens.to(text.dtype).expand(len(text), -1, -1), text), dim=1)
    biases = torch.cat((bias.new_full((count,), math.log(weight)), bias))
    out, image = run(longer, image, biases, maps)
    if maps is not None:
        maps[-1] = maps[-1][..., count:]
    # The last block gives no text back.
    return (text if out is longer else out[:, count:]), image


def _joint(
    block: Any,
    text: Tensor,
    image: Tensor,
    bias: Tensor,
    maps: list[Tensor] | None = None,
    *,
    condition: Tensor,
) -> tuple[Tensor, Tensor]:
    text_qkv, text_rest = block.context_block.pre_attention(text, condition)
    image_qkv, image_rest = block.x_block.pre_attention(image, condition)
    heads = block.x_block.attn.num_heads
    q, k, v = (
        torch.cat(pair, dim=1).unflatten(-1, (heads, -1)).transpose(1, 2)
        if pair[0].ndim == 3
        else torch.cat(pair, dim=1).transpose(1, 2)
        for pair in zip(text_qkv, image_qkv, strict=True)
    )
    # By hand: at this length it is four times as fast as PyTorch's attention on a CPU.
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5 + bias
    shares, split = scores.softmax(dim=-1), text.shape[1]
    if maps is not None:
        maps.append(shares[:, :, split:, :split].mean(1))
    mixed = (shares.to(v.dtype) @ v).transpose(1, 2).flatten(2)
    if text_rest is not None:
        text = block.context_block.post_attention(mixed[:, :split], *text_rest)
    return text, block.x_block.post_attention(mixed[:, split:], *image_rest)
