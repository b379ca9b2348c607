"""How much of its attention SD3's picture gives to words: the text part of every joint block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...injection.architectures.mmdit import JointBlockPatch
from ...injection.blocks.attention_weight import OVERRIDE
from .call import RECORDER, Complete

_BLOCK = "softrepa_joint_block"
"""In one block's options: a _Block."""


class JointRecorder:
    """Collects the maps of one call of the network.

    columns: rows of the text that are looked at. Its maps are of the call's first sample.
    """

    def __init__(self, columns: tuple[int, ...]) -> None:
        self.wrapper = recording
        self.columns = columns
        self.size = (0, 0)
        self._wanted: set[int] = set()
        self._maps: list[Tensor] = []

    def begin(self, blocks: int, size: tuple[int, int]) -> None:
        self._wanted, self.size = set(range(blocks)), size

    def wants(self, block: int) -> bool:
        return block in self._wanted

    def add(self, block: int, maps: Tensor) -> None:
        """maps: (n, columns). Raises Complete after the last block."""
        self._wanted.discard(block)
        self._maps.append(maps)
        if not self._wanted:
            raise Complete

    def mean(self) -> Tensor | None:
        """(h, w, columns) float32, over heads and blocks; None where nothing was recorded."""
        if not self._maps:
            return None
        return torch.stack(self._maps).mean(0).unflatten(0, self.size)


@dataclass(frozen=True)
class _Block:
    """One block's call. before: soft tokens that stand before the text. keys: of the attention of
    text and picture, with all soft tokens. image: rows of the picture."""

    number: int
    before: int
    keys: int
    image: int
    previous: Callable[..., Tensor] | None


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
    """An `APPLY_MODEL` wrapper, the innermost: around the blocks as other packs have made them."""
    options = dict(transformer_options or {})
    recorder: JointRecorder = options[RECORDER]
    network = executor.class_obj.diffusion_model
    patch = network.patch_size
    recorder.begin(len(network.joint_blocks), (-(-x.shape[-2] // patch), -(-x.shape[-1] // patch)))
    replacements = dict(options.get("patches_replace", {}))
    slots = dict(replacements.get("dit", {}))
    for number in range(len(network.joint_blocks)):
        slot = ("double_block", number)
        slots[slot] = JointMapPatch(number, slots.get(slot))
    options["patches_replace"] = {**replacements, "dit": slots}
    return executor(x, sigma, c_concat, c_crossattn, control, options, **kwargs)


@dataclass(frozen=True, eq=False)
class JointMapPatch:
    """A replacement for one joint block: the same block, whose attention is looked at."""

    number: int
    previous: Callable[..., dict[str, Any]] | None

    def __call__(
        self, args: dict[str, Any], extra: dict[str, Any], **others: Any
    ) -> dict[str, Any]:
        before, count = _soft_tokens(self.previous)
        options = args.get("transformer_options") or {}
        image = args["img"].shape[1]
        keys = args["txt"].shape[1] + count + image
        block = _Block(self.number, before, keys, image, options.get(OVERRIDE))
        args = {**args, "transformer_options": {**options, _BLOCK: block, OVERRIDE: looked_at}}
        if self.previous is None:
            return extra["original_block"](args)
        return self.previous(args, extra, **others)


def _soft_tokens(patch: Any) -> tuple[int, int]:
    """How many stand before the text, and how many in all, behind this replacement."""
    before = count = 0
    while isinstance(patch, JointBlockPatch):
        count += patch.tokens.shape[1]
        before += 0 if patch.append else patch.tokens.shape[1]
        patch = patch.previous
    return before, count


def looked_at(
    attention: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    *others: Any,
    **named: Any,
) -> Tensor:
    """An `optimized_attention_override`: this attention, or the earlier override, looked at.

    Of a block that runs with soft tokens and without, the run with them counts; SD3.5's second
    attention of the picture to itself does not.
    """
    options = named["transformer_options"]
    block: _Block = options[_BLOCK]
    recorder: JointRecorder = options[RECORDER]
    run = attention if block.previous is None else block.previous
    given = (query, key, value) if block.previous is None else (attention, query, key, value)
    found = run(*given, heads, mask, *others, **named)
    if key.shape[1] == block.keys and not named.get("skip_reshape"):
        columns = [block.before + column for column in recorder.columns]
        share = _share(query[:1, -block.image :], key[:1], heads, columns, mask)
        # Blocks are computed again in the backward pass, and are not wanted then.
        if recorder.wants(block.number):
            recorder.add(block.number, share)
    return found


def _share(
    query: Tensor, key: Tensor, heads: int, columns: list[int], mask: Tensor | None
) -> Tensor:
    """(n, columns) float32: the mean over heads, one head after the other and again in the
    backward pass, as all of them at once are the largest thing in the network."""
    bias = None if mask is None else mask.float().reshape(-1, key.shape[1])[:1]

    def one(query: Tensor, key: Tensor) -> Tensor:
        scores = query.float() @ key.float().mT * query.shape[-1] ** -0.5
        scores = scores if bias is None else scores + bias
        return scores.softmax(-1)[:, columns]

    parts = [part[0].unflatten(-1, (heads, -1)).unbind(1) for part in (query, key)]
    shares = [checkpoint(one, *each, use_reentrant=False) for each in zip(*parts, strict=True)]
    return torch.stack(shares).mean(0)
