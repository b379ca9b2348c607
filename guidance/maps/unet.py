"""The maps of a U-Net's cross-attention, differentiable, from one call that ends at the last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, Upsample
from torch import Tensor
from torch.nn import functional as F

from ...injection.blocks.attention_blend import SPANS, AttentionBlend, Span, blend
from ...injection.blocks.attention_weight import AttentionWeights, WeighedKeys
from .call import RECORDER, Complete

QUARTER = 4
"""Published are maps of 16 x 16 for latents of 64 x 64."""
_LEAST = 8
"""Pixels that the shorter side of a map must have."""

Block = tuple[str, int]


def layers(network: torch.nn.Module) -> Iterator[tuple[Block, int, SpatialTransformer]]:
    """Each block with cross-attention, as `transformer_options` names it, how many times smaller
    than the latent its picture is, and its transformer; in the network's order."""
    scale = 1
    groups = (
        ("input", network.input_blocks),
        ("middle", [network.middle_block]),
        ("output", network.output_blocks),
    )
    for name, blocks in groups:
        for number, block in enumerate(blocks):
            for layer in block or ():
                if isinstance(layer, SpatialTransformer):
                    yield (name, number), scale, layer
                elif isinstance(layer, Downsample):
                    scale *= 2
                elif isinstance(layer, Upsample):
                    scale //= 2


def scale_for(network: torch.nn.Module, size: tuple[int, int]) -> int:
    """How many times smaller than a latent of this size the maps are.

    The quarter, as published; for small latents the smallest maps of 8 pixels or more, and where
    the network has none of these, its largest.
    """
    there = sorted({scale for _, scale, _ in layers(network)})
    fitting = [
        scale for scale in there if scale <= QUARTER and math.ceil(min(size) / scale) >= _LEAST
    ]
    return max(fitting, default=there[0])


class Recorder:
    """Collects the maps of one call of the network.

    rows: rows of the prompt's text. Its maps are of the call's first sample.
    """

    def __init__(self, rows: int) -> None:
        self.wrapper = recording
        self.rows = rows
        self._wanted: set[tuple[str, int, int]] = set()
        self._maps: list[Tensor] = []
        self._heads = 0

    def patch(self, network: torch.nn.Module, size: tuple[int, int]) -> dict[Any, Any]:
        """The `attn2` replacements that record this network's maps for a latent of this size."""
        scale = scale_for(network, size)
        slots = {}
        for block, found, transformer in layers(network):
            if found == scale:
                attentions = tuple(each.attn2 for each in transformer.transformer_blocks)
                for index, attention in enumerate(attentions):
                    if attention is not None:
                        slots[(*block, index)] = attentions
        self._wanted = set(slots)
        return slots

    def add(self, slot: tuple[str, int, int], maps: Tensor, heads: int) -> None:
        """maps: (h, w, rows), the sum over so many heads. Raises Complete after the last."""
        self._maps.append(maps)
        self._heads += heads
        self._wanted.discard(slot)
        if not self._wanted:
            raise Complete

    def mean(self) -> Tensor | None:
        """(h, w, rows) float32, over all heads and layers; None where nothing was recorded."""
        if not self._maps:
            return None
        first, *others = self._maps
        return sum((_resized(each, first) for each in others), start=first) / self._heads


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    """Packs that shrink a picture on its way give layers of one level different sizes."""
    if maps.shape == like.shape:
        return maps
    size = like.shape[:2]
    resized = F.interpolate(maps.permute(2, 0, 1)[None], size=size, mode="bilinear")
    return resized[0].permute(1, 2, 0)


def recording(
    executor: Callable[..., Tensor],
    x: Tensor,
    sigma: Tensor,
    c_concat: Tensor | None = None,
    c_crossattn: Tensor | None = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Tensor:
    """An `APPLY_MODEL` wrapper, the innermost: what other packs put before an attention is there,
    SoftREPA's tokens included."""
    options = dict(transformer_options or {})
    recorder: Recorder = options[RECORDER]
    replacements = dict(options.get("patches_replace", {}))
    slots = dict(replacements.get("attn2", {}))
    network = executor.class_obj.diffusion_model
    for slot, attentions in recorder.patch(network, tuple(x.shape[-2:])).items():
        previous = slots.get(slot, slots.get(slot[:2]))
        if not isinstance(previous, AttentionBlend):
            previous = AttentionBlend(previous, attentions)
        slots[slot] = MapPatch(slot, recorder, previous)
    options["patches_replace"] = {**replacements, "attn2": slots}
    return executor(x, sigma, c_concat, c_crossattn, control, options, **kwargs)


@dataclass(frozen=True, eq=False)
class MapPatch:
    """An attn2 replacement: records the map, and gives what the one before it gives."""

    slot: tuple[str, int, int]
    recorder: Recorder
    previous: AttentionBlend

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any], **others: Any
    ) -> Tensor:
        spans = extra.get(SPANS, ())
        rows = self.recorder.rows
        if key.shape[1] >= rows + sum(span.count for span in spans):
            heads = extra["n_heads"]
            found = attention_map(query[:1], key[:1], heads, spans, rows)
            height, width = extra["activations_shape"][-2:]
            self.recorder.add(self.slot, found.reshape(height, width, rows), heads)
        return self.previous(query, key, value, extra, **others)


def attention_map(
    query: Tensor, key: Tensor, heads: int, spans: tuple[Span, ...], rows: int
) -> Tensor:
    """(n, rows) float32: how much of its attention each pixel gives to each row of the prompt's
    text, summed over heads.

    query: (1, n, heads * d). key: (1, m, heads * d), soft tokens of these spans after its first
    row. Soft tokens take their share, as strongly as they act, and are counted out: an attention
    whose values are ones for a row and zeros elsewhere is its map.
    """
    count = sum(span.count for span in spans)
    values = torch.zeros(key.shape[1], rows, device=key.device)
    values[:1, :1] = 1.0
    values[1 + count : count + rows, 1:] = torch.eye(rows - 1, device=key.device)

    def attention(key: Tensor, values: Tensor, weighed: tuple[WeighedKeys, ...]) -> Tensor:
        apart = (part.unflatten(-1, (heads, -1))[0].transpose(0, 1) for part in (query, key))
        queries, keys = (part.float() for part in apart)
        scores = queries @ keys.mT * queries.shape[-1] ** -0.5
        if weighed:
            scores = scores + AttentionWeights(weighed, keys.shape[1], None, []).bias(queries)[0]
        return (scores.softmax(-1) @ values[0]).sum(0)

    return blend(attention, key, values[None], 1, spans)
