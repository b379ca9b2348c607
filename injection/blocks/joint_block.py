"""Tokens in a joint block: they stand beside its text and are stripped after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention_weight import WeighedKeys, was_weighed, with_more
from .joint_sequence import JointSequence
from .rows import follow_rows, strength_of_rows
from .strength import between, is_full


@dataclass(frozen=True, eq=False)
class JointBlockPatch:
    """A replacement for one joint block: the block (or an earlier replacement) with more text.

    tokens: (N or 1, K, W) float32, one row a sample, cast to the text's dtype here. in_attention:
    the strength is their weight in the block's attention; a blend only where that does not take it.
    writes: whether the block may write into what it is given, see `Architecture`.
    """

    tokens: Tensor
    strength: float | Tensor
    append: bool
    previous: Callable[..., dict[str, Any]] | None
    sequence: JointSequence | None = None
    in_attention: bool = False
    writes: bool = True

    def __call__(
        self, args: dict[str, Any], extra: dict[str, Any], **others: Any
    ) -> dict[str, Any]:
        run = self._previous(extra, others)
        text = args["txt"]
        options = args.get("transformer_options") or {}
        chunks, rows = options.get("cond_or_uncond") or (), args["img"].shape[0]
        tokens = follow_rows(self.tokens, rows, text.shape[0], chunks).to(text)
        # NAG cuts what a shorter text has in front: tokens at position 0 may stand at its end.
        append = self.append or "pe_negative" in args
        beside = (text, tokens) if append else (tokens, text)
        longer = {**args, "txt": torch.cat(beside, dim=1)}
        if self.sequence is not None:
            longer |= self.sequence.grown(args, text.shape[1], tokens.shape[1], append)
        weighed = self.in_attention and not is_full(self.strength)
        options = self._options(options, text, args["img"], weighed, append)
        longer["transformer_options"] = options
        if not is_full(self.strength) and (self.writes or self.previous is not None):
            longer["img"] = args["img"].clone()  # it is used twice
        with_tokens = run(longer)
        with_tokens = {**with_tokens, "txt": self._strip(with_tokens.get("txt"), append)}
        if is_full(self.strength) or (weighed and was_weighed(options)):
            return with_tokens
        plain = run(args)
        blended = dict(with_tokens)
        for stream in ("img", "txt"):
            if (alone := plain.get(stream)) is not None:
                strength = strength_of_rows(self.strength, rows, alone.shape[0], chunks)
                blended[stream] = between(alone, with_tokens[stream], strength)
        return blended

    def _options(
        self,
        options: Mapping[str, Any],
        text: Tensor,
        image: Tensor,
        weighed: bool,
        append: bool,
    ) -> Mapping[str, Any]:
        """The call's options, which tell the block's attention how much the tokens weigh."""
        count = self.tokens.shape[1]
        sequence = self.sequence or JointSequence()
        at, keys = sequence.place(text.shape[1], image.shape[1], append)
        strength = strength_of_rows(
            self.strength, image.shape[0], text.shape[0], options.get("cond_or_uncond") or ()
        )
        return with_more(options, WeighedKeys(at, count, strength), keys, weighed)

    def _previous(
        self, extra: dict[str, Any], others: dict[str, Any]
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if self.previous is None:
            return extra["original_block"]
        return lambda args: self.previous(args, extra, **others)

    def _strip(self, text: Tensor | None, append: bool) -> Tensor | None:
        if text is None:  # the last joint block gives none back, cross-attention never does
            return None
        count = self.tokens.shape[1]
        return text[:, :-count] if append else text[:, count:]
