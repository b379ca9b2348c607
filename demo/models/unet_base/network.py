"""The U-Net base's network: the live channels alone of a native SD1.x U-Net of two levels.

Its weights are named as the native ones are; `widen` puts them among zeros. What depends on the
native width is computed as there: layer norms divide by 320, attention scales by 40 a head.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..base import clip

CHANNELS = 4
NATIVE = 320
"""Channels of every native layer; its group norms have GROUPS, its attentions HEADS."""
GROUPS = 32
HEADS = 8
WIDE, DEEP = 60, 120
"""Live channels at 8 x 8 and at 4 x 4: whole groups, also of 20 channels where two are joined."""
INNER = {WIDE: 64, DEEP: 128}
"""Live channels of the transformers there: as many of each head's 40."""
EMBEDDING = 160
"""Live channels of the timestep's embedding, natively 1280."""


class Joined(nn.Module):
    """A group norm over `widths`, each of which natively lies among NATIVE channels."""

    def __init__(self, *widths: int, eps: float = 1e-5) -> None:
        super().__init__()
        width = sum(widths)
        self.groups, self.eps = width * GROUPS // (NATIVE * len(widths)), eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)


class LayerNorm(nn.Module):
    """A layer norm over NATIVE channels of which all but `width` are zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        x = x.float()
        mean = x.sum(dim=-1, keepdim=True) / NATIVE
        spread = x.square().sum(dim=-1, keepdim=True) / NATIVE - mean.square()
        return (x - mean) * torch.rsqrt(spread + 1e-5) * self.weight + self.bias


class ResBlock(nn.Module):
    """Two convolutions beside the identity, or beside a 1 x 1 one where two inputs are joined."""

    def __init__(self, width: int, skip: int | None = None) -> None:
        super().__init__()
        widths = (width,) if skip is None else (width, skip)
        self.in_layers = nn.Sequential(
            Joined(*widths), nn.SiLU(), nn.Conv2d(sum(widths), width, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(EMBEDDING, width))
        self.out_layers = nn.Sequential(
            Joined(width), nn.SiLU(), nn.Identity(), nn.Conv2d(width, width, 3, padding=1)
        )
        nn.init.zeros_(self.out_layers[3].weight)
        self.skip_connection = nn.Identity() if skip is None else nn.Conv2d(sum(widths), width, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, H, W) and (B, EMBEDDING) to (B, width, H, W)."""
        inner = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(inner)


class Attention(nn.Module):
    """HEADS heads, of the live part of NATIVE / HEADS channels each."""

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None):
        """x (B, N, C), keys and values (B, M, C), bias (M,) on the scores; gives (B, N, C)."""
        v = _by_head(values)
        mixed = self.shares(x, keys, bias).to(v.dtype) @ v
        return self.to_out(mixed.transpose(1, 2).flatten(2))

    def shares(self, x: Tensor, keys: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, HEADS, N, M) float32: how much of its attention each place gives to each key."""
        q, k = _by_head(self.to_q(x)), _by_head(keys)
        scores = (q @ k.transpose(-1, -2)).float() * (NATIVE // HEADS) ** -0.5
        return (scores if bias is None else scores + bias).softmax(dim=-1)


def _by_head(rows: Tensor) -> Tensor:
    return rows.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Gated(nn.Module):
    """The first half of the feed-forward part: GEGLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., 2 C)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Half as wide as the native one, which has room for 4 C."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Gated(width), nn.Identity(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to the same."""
        return self.net(x)


class Text:
    """A batch's prompts, and soft tokens beside them.

    rows (U, 768): each different token at its place once. index (B, R): the prompts as rows, the
    last of each standing for all padding. tokens (B or 1, K, 768)
    come after the first, in `blocks` ("input.1" and so on; None for all), each counting `weight`
    times. strength: an attention gives plain + strength * (with tokens - plain). perturbed: blocks
    whose self-attention sees each place alone, as perturbed-attention guidance has it. beneath:
    tokens that an earlier adapter put there in full, and the blocks it acts in.
    """

    def __init__(
        self,
        rows: Tensor,
        index: Tensor,
        tokens: Tensor | None = None,
        blocks: Collection[str] | None = None,
        strength: float = 1.0,
        weight: float = 1.0,
        perturbed: Collection[str] = (),
        beneath: tuple[Tensor, Collection[str] | None] | None = None,
    ) -> None:
        self.perturbed = perturbed
        self._rows, self._index, self._tokens, self._blocks = rows, index, tokens, blocks
        self._strength, self._weight, self._beneath = strength, weight, beneath
        self._bias = clip.bias_of(index.shape[1])

    def attended(self, attention: Attention, x: Tensor, block: str) -> Tensor:
        """What a block's attention to this text gives; x and the result (B, N, C)."""
        layers = (attention.to_k, attention.to_v)
        plain = [self._plain(to, block) for to in layers]
        bias = self._plain_bias(block)
        if not self._acts(block):
            return attention(x, *plain, bias)
        longer = [_longer(one, to(self._tokens)) for one, to in zip(plain, layers, strict=True)]
        with_tokens = attention(x, *longer, _counted(bias, self._tokens, self._weight))
        if self._strength == 1.0:
            return with_tokens
        without = attention(x, *plain, bias)
        return without + self._strength * (with_tokens - without)

    def shares(self, attention: Attention, x: Tensor, block: str) -> Tensor:
        """(B, N, R): how much of its attention each place gives to each row of the text,
        the mean over heads. Soft tokens take their share, as strongly as they act."""
        keys, bias = self._plain(attention.to_k, block), self._plain_bias(block)
        length = len(self._bias)
        found = _words(attention.shares(x, keys, bias).mean(1), length)
        if not self._acts(block):
            return found
        longer = _longer(keys, attention.to_k(self._tokens))
        counted = _counted(bias, self._tokens, self._weight)
        with_tokens = _words(attention.shares(x, longer, counted).mean(1), length)
        return with_tokens if self._strength == 1.0 else found.lerp(with_tokens, self._strength)

    def _acts(self, block: str) -> bool:
        return self._tokens is not None and (self._blocks is None or block in self._blocks)

    def _plain(self, to: nn.Module, block: str) -> Tensor:
        """Keys or values of the prompts, with what lies beneath."""
        plain, beneath = to(self._rows)[self._index], self._beneath_in(block)
        return plain if beneath is None else _longer(plain, to(beneath))

    def _plain_bias(self, block: str) -> Tensor:
        beneath = self._beneath_in(block)
        return self._bias if beneath is None else _counted(self._bias, beneath, 1.0)

    def _beneath_in(self, block: str) -> Tensor | None:
        if self._beneath is None:
            return None
        tokens, blocks = self._beneath
        return tokens if blocks is None or block in blocks else None


def _longer(plain: Tensor, tokens: Tensor) -> Tensor:
    """Keys or values with the soft tokens' after the first."""
    tokens = tokens.expand(len(plain), -1, -1)
    return torch.cat((plain[:, :1], tokens, plain[:, 1:]), dim=1)


def _counted(bias: Tensor, tokens: Tensor, weight: float) -> Tensor:
    """The bias with that of soft tokens after the first, each counting `weight` times."""
    counted = bias.new_full((tokens.shape[1],), math.log(weight))
    return torch.cat((bias[:1], counted, bias[1:]))


def _words(shares: Tensor, length: int) -> Tensor:
    """What the words have of (..., M), without the soft tokens after the first."""
    return torch.cat((shares[..., :1], shares[..., shares.shape[-1] - length + 1 :]), dim=-1)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width), Attention(width, clip.WIDTH)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, text: Text, block: str) -> Tensor:
        """(B, N, C) to the same."""
        inner = self.norm1(x)
        if block in text.perturbed:
            x = x + self.attn1.to_out(self.attn1.to_v(inner))
        else:
            x = x + self.attn1(inner, self.attn1.to_k(inner), self.attn1.to_v(inner))
        x = x + text.attended(self.attn2, self.norm2(x), block)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer block over a picture's places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Joined(width, eps=1e-6)
        inner = INNER[width]
        self.proj_in = nn.Conv2d(width, inner, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(inner)])
        self.proj_out = nn.Conv2d(inner, width, 1)
        nn.init.zeros_(self.proj_out.weight)

    def forward(self, x: Tensor, text: Text, block: str) -> Tensor:
        """(B, C, H, W) to the same."""
        inner = self.proj_in(self.norm(x))
        places = self.transformer_blocks[0](inner.flatten(2).transpose(1, 2), text, block)
        return x + self.proj_out(places.transpose(1, 2).unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    """Half the side; more channels."""

    def __init__(self) -> None:
        super().__init__()
        self.op = nn.Conv2d(WIDE, DEEP, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, WIDE, H, W) to (B, DEEP, H / 2, W / 2)."""
        return self.op(x)


class Upsample(nn.Module):
    """Twice the side; fewer channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(DEEP, WIDE, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, DEEP, H, W) to (B, WIDE, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """Predicts the noise in latents. Attention to the text in five places of seven."""

    def __init__(self) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(
            nn.Linear(NATIVE, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING)
        )
        self.input_blocks = nn.ModuleList(
            [
                nn.ModuleList([nn.Conv2d(CHANNELS, WIDE, 3, padding=1)]),
                nn.ModuleList([ResBlock(WIDE), SpatialTransformer(WIDE)]),
                nn.ModuleList([Downsample()]),
                nn.ModuleList([ResBlock(DEEP), SpatialTransformer(DEEP)]),
            ]
        )
        self.middle_block = nn.ModuleList(
            [ResBlock(DEEP), SpatialTransformer(DEEP), ResBlock(DEEP)]
        )
        self.output_blocks = nn.ModuleList(
            [
                nn.ModuleList([ResBlock(DEEP, DEEP)]),
                nn.ModuleList([ResBlock(DEEP, DEEP), SpatialTransformer(DEEP), Upsample()]),
                nn.ModuleList([ResBlock(WIDE, WIDE), SpatialTransformer(WIDE)]),
                nn.ModuleList([ResBlock(WIDE, WIDE)]),
            ]
        )
        self.out = nn.Sequential(Joined(WIDE), nn.SiLU(), nn.Conv2d(WIDE, CHANNELS, 3, padding=1))
        nn.init.zeros_(self.out[2].weight)

    def forward(self, x: Tensor, timestep: Tensor, text: Text) -> Tensor:
        """The noise in x, both (B, 4, 8, 8), x of unit variance; timestep (B,) in 0 ... 999."""
        embedding = self.time_embed(sinusoids(timestep))

        def through(name: str, layers: nn.ModuleList, x: Tensor) -> Tensor:
            for layer in layers:
                if isinstance(layer, ResBlock):
                    x = layer(x, embedding)
                elif isinstance(layer, SpatialTransformer):
                    x = layer(x, text, name)
                else:
                    x = layer(x)
            return x

        kept = []
        for number, layers in enumerate(self.input_blocks):
            x = through(f"input.{number}", layers, x)
            kept.append(x)
        x = through("middle.0", self.middle_block, x)
        for number, layers in enumerate(self.output_blocks):
            x = through(f"output.{number}", layers, torch.cat((x, kept.pop()), dim=1))
        return self.out(x)


def sinusoids(timestep: Tensor) -> Tensor:
    """(B,) to (B, NATIVE), as every U-Net of Stable Diffusion has it."""
    half = NATIVE // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half) / half)
    angles = timestep[:, None].float() * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)
