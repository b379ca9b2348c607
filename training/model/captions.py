"""Captions through ComfyUI's text encoders, many at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..cache.encoding import Text

TOGETHER = 16
"""Captions in one pass."""

TOLERANCE = 2e-3
"""How far a caption's embedding may lie from its embedding alone on a GPU, as a share of the
largest value: rounding in half precision. On a CPU the bits must be equal."""

_WIDTHS = {"l": 768, "g": 1280}
"""Of CLIP-L's and CLIP-G's embeddings, in SD3's context and in its pooled embedding."""

_OF_FLUX = {"l", "t5xxl"}
"""The encoders of Flux.1, whose context is T5's alone. SD3's tokens are always made for three."""

Tokens = Mapping[str, Sequence[Sequence[tuple[Any, float]]]]
"""What ComfyUI's tokenizers give: for each text encoder, rows of (token, weight)."""


class Captions:
    """Embeds captions with a `comfy.sd.CLIP`.

    Captions are data: parentheses in them are letters, as `\\(` is in a prompt, not weights.
    """

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self._together: bool | None = None
        """Whether many at a time give what one gives; None until it was tried."""

    def embed(self, captions: Sequence[str]) -> list[Text]:
        """Each caption as the CLIPTextEncode node embeds it, parentheses escaped."""
        tokens = [self._clip.tokenize(caption, disable_weights=True) for caption in captions]
        found: dict[int, Text] = {}
        for group in _alike(tokens):
            if len(group) > 1 and self._together is not False:
                texts = _many(self._clip, [tokens[at] for at in group])
                if texts is not None and self._trusted(texts[0], tokens[group[0]]):
                    found |= zip(group, texts, strict=True)
        return [found[at] if at in found else self._one(each) for at, each in enumerate(tokens)]

    def _trusted(self, text: Text, tokens: Tokens) -> bool:
        """ComfyUI has no call for many prompts: what is put together here is held against its own.

        Once, on the first caption, so that a core that works differently is noticed.
        """
        if self._together is None:
            self._together = _same(text, self._one(tokens))
            if not self._together:
                logging.warning("Captions are embedded one by one: this ComfyUI differs in batches")
        return self._together

    def _one(self, tokens: Tokens) -> Text:
        [[context, extra]] = self._clip.encode_from_tokens_scheduled(tokens, show_pbar=False)
        pooled = extra.get("pooled_output")
        return Text(
            context[0].float().cpu(),
            None if pooled is None else pooled[0].float().cpu(),
            {name: one.cpu() for name, one in extra.items() if _matters(name, one)},
        )


def _matters(name: str, value: Any) -> bool:
    """Whether a model is told this part of a conditioning beside context and pooled embedding. A
    mask that leaves nothing out says no more than the context's length does."""
    if not isinstance(value, Tensor) or name == "pooled_output":
        return False
    return name != "attention_mask" or not bool(value.all())


def _same(text: Text, alone: Text) -> bool:
    import comfy.model_management

    if text.more or alone.more:
        return False
    exact = comfy.model_management.text_encoder_device().type == "cpu"
    for one, other in ((text.context, alone.context), (text.pooled, alone.pooled)):
        if one is None or other is None or one.shape != other.shape:
            if one is not other:
                return False
        elif exact and not torch.equal(one, other):
            return False
        elif float((one - other).abs().max()) > TOLERANCE * float(other.abs().max()):
            return False
    return True


def _alike(tokens: Sequence[Tokens]) -> Iterator[list[int]]:
    """Places of captions that can go together: of one shape, and nothing in them but tokens."""
    groups: dict[tuple, list[int]] = {}
    for at, each in enumerate(tokens):
        rows = [row for key in each for row in each[key]]
        if all(isinstance(token, Integral) for row in rows for token, _ in row):
            shape = tuple((key, *(len(row) for row in each[key])) for key in sorted(each))
            groups.setdefault(shape, []).append(at)
    for group in groups.values():
        for start in range(0, len(group), TOGETHER):
            yield group[start : start + TOGETHER]


def _many(clip: Any, tokens: Sequence[Tokens]) -> list[Text] | None:
    """The captions in one pass through each encoder; None for a kind of encoder not known here."""
    model = clip.cond_stage_model
    encoders = {key: _encoder(model, key) for key in tokens[0]}
    if not set(encoders) <= {"l", "g", "h", "t5xxl"} or set(encoders.values()) == {None}:
        return None
    model.reset_clip_options()
    if clip.layer_idx is not None:
        model.set_clip_options({"layer": clip.layer_idx})
    clip.load_model()
    # Newer cores are told the device; older ones take no notice.
    model.set_clip_options({"execution_device": clip.patcher.load_device})
    encoded = {
        key: _encode(encoder, [each[key] for each in tokens])
        for key, encoder in encoders.items()
        if encoder is not None
    }
    if any(each is None for each in encoded.values()):
        return None
    contexts = _context({key: context for key, (context, _) in encoded.items()}, set(encoders))
    pooled = _pooled(
        {key: pooled for key, (_, pooled) in encoded.items()}, set(encoders), len(tokens)
    )
    if pooled is None:
        return [Text(context) for context in contexts]
    return [Text(*both) for both in zip(contexts, pooled, strict=True)]


def _encoder(model: Any, key: str) -> Any:
    return getattr(model, f"clip_{key}", None) or getattr(model, key, None)


def _encode(
    encoder: Any, captions: Sequence[Sequence[Sequence[tuple[int, float]]]]
) -> tuple[Tensor, Tensor | None] | None:
    """(B, n, D), the rows of a caption one after the other, and (B, P) of its first row."""
    rows = [[token for token, _ in row] for caption in captions for row in caption]
    projected = encoder.return_projected_pooled
    encoder.set_clip_options({"projected_pooled": False})
    context, pooled, *extra = encoder.encode(rows)
    if extra:
        return None  # masks
    context = context.float().cpu()
    context = context.reshape(len(captions), -1, context.shape[-1])
    if pooled is None:
        return context, None
    of_each = pooled.split(len(rows) // len(captions))
    if projected:
        # Caption by caption: a product of more rows rounds differently, and the cache must not
        # depend on which captions went together.
        of_each = [encoder.transformer.text_projection(some) for some in of_each]
    pooled = torch.cat([some[:1] for some in of_each])
    return context, pooled.float().cpu()


def _context(parts: Mapping[str, Tensor], kinds: set[str]) -> Tensor:
    """The encoders' contexts as the model is given them: see ComfyUI's for SDXL, SD3 and Flux."""
    if kinds == _OF_FLUX:
        return parts["t5xxl"]
    if len(kinds) == 1:
        return parts[next(iter(kinds))]
    beside = [parts[key] for key in ("l", "g") if key in parts]
    if beside:
        rows = min(part.shape[1] for part in beside)
        context = torch.cat([part[:, :rows] for part in beside], dim=-1)
    if "t5xxl" not in kinds:
        return context
    if not beside:
        return parts["t5xxl"]
    left = 0 if "l" in parts else _WIDTHS["l"]
    context = torch.nn.functional.pad(context, (left, 4096 - left - context.shape[-1]))
    return torch.cat([context, parts["t5xxl"]], dim=1) if "t5xxl" in parts else context


def _pooled(parts: Mapping[str, Tensor | None], kinds: set[str], count: int) -> Tensor | None:
    if kinds == _OF_FLUX:
        return parts["l"]
    if len(kinds) == 1:
        return parts[next(iter(kinds))]
    if "t5xxl" not in kinds:
        return parts["g"]
    empty = {key: torch.zeros(count, width) for key, width in _WIDTHS.items()}
    return torch.cat([parts.get(key, empty[key]) for key in ("l", "g")], dim=-1)
