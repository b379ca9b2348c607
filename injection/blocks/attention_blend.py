"""U-Net blocks at a strength other than 0 and 1: a blend of the attentions with and without the
tokens, or one attention in which they have that weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from .attention_weight import WeighedKeys, was_weighed, weigh
from .strength import between, is_full

SPANS = "softrepa_spans"
"""In a block's own options: a Span for each insertion, the first in the context first."""


@dataclass(frozen=True, eq=False)
class Span:
    """So many tokens, how strongly they act, and whether that is their weight in attention."""

    count: int
    strength: float | Tensor
    in_attention: bool = False


@dataclass(frozen=True, eq=False)
class AttentionBlend:
    """An attn2 replacement: plain + strength * (with tokens - plain), for each adapter in turn.

    Keys and values are computed once; only the attention itself runs again without the tokens.
    Tokens with a weight in attention cost no second one. Where another pack's attention does not
    take the weight, they are blended too.
    previous: the replacement that another pack put there. layers: the block's cross-attentions, by
    their index in the block; without them, and with arguments that a core hands to replacements,
    ComfyUI's attention is called as it is.
    """

    previous: Callable[..., Tensor] | None
    layers: tuple[torch.nn.Module, ...] = ()

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any], **others: Any
    ) -> Tensor:
        unmet = []

        def attention(key: Tensor, value: Tensor, weighed: tuple[WeighedKeys, ...]) -> Tensor:
            if not weighed:
                return self._attention(query, key, value, extra, others)
            options = weigh(extra, weighed, key.shape[1])
            found = self._attention(query, key, value, options, others)
            if not was_weighed(options):
                unmet.append(weighed)
            return found

        spans = extra.get(SPANS, ())
        found = blend(attention, key, value, 1, spans)
        if not unmet:
            return found
        blended = tuple(Span(span.count, span.strength) for span in spans)
        return blend(attention, key, value, 1, blended)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        extra: dict[str, Any],
        others: dict[str, Any],
    ) -> Tensor:
        if self.previous is not None:
            return self.previous(query, key, value, extra, **others)
        forward = self._forward(extra)
        if forward is not None and not others:
            between_projections, layer = forward
            return between_projections(
                Unprojected(layer), query, context=key, value=value, transformer_options=extra
            )
        return optimized_attention(
            query,
            key,
            value,
            extra["n_heads"],
            attn_precision=extra["attn_precision"],
            transformer_options=extra,
            **others,
        )

    def _forward(self, extra: dict[str, Any]) -> tuple[Callable[..., Tensor], Any] | None:
        """The layer's forward as a function, and the layer; None where there is no such function.

        It is asked for because it knows what we cannot: the attention that a newer core prefers
        for this layer, or that another pack (NAG) has given the layer a forward of its own.
        """
        index = extra.get("block_index", 0)
        if index >= len(self.layers):
            return None
        function = getattr(self.layers[index].forward, "__func__", None)
        return None if function is None else (function, self.layers[index])

    def __deepcopy__(self, memo: dict[int, Any]) -> AttentionBlend:
        return self  # it refers to the model


class Unprojected:
    """A cross-attention layer between its projections: queries, keys and values are given to it,
    and it gives back what its last projection would take. All else is the layer's."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    @staticmethod
    def to_q(given: Tensor) -> Tensor:
        return given

    to_k = to_v = to_out = to_q


def blend(
    attention: Callable[[Tensor, Tensor, tuple[WeighedKeys, ...]], Tensor],
    key: Tensor,
    value: Tensor,
    start: int,
    spans: tuple[Span, ...],
    weighed: tuple[WeighedKeys, ...] = (),
) -> Tensor:
    """What attention gives with these spans as strong as they are: linear in what it gives.

    attention: of (key, value, weighed keys). start: where the first of the spans begins. weighed:
    keys before it that have a weight.
    """
    if not spans:
        return attention(key, value, weighed)
    span, rest = spans[0], spans[1:]
    behind = start + span.count
    if is_full(span.strength):
        return blend(attention, key, value, behind, rest, weighed)
    if span.in_attention:
        weighed = (*weighed, WeighedKeys(start, span.count, span.strength))
        return blend(attention, key, value, behind, rest, weighed)
    with_tokens = blend(attention, key, value, behind, rest, weighed)
    key, value = _cut(key, start, span.count), _cut(value, start, span.count)
    plain = blend(attention, key, value, start, rest, weighed)
    return between(plain, with_tokens, span.strength)


def _cut(sequence: Tensor, start: int, count: int) -> Tensor:
    return torch.cat((sequence[:, :start], sequence[:, start + count :]), dim=1)
