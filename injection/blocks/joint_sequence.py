"""What grows with the text where a block attends to text and picture as one sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROTATIONS = ("pe", "pe_negative")
"""Names under which blocks are given rotations. The second is NAG's, for the text of its own
negative prompt: it lets texts of two lengths end together, and has rotations for each length."""
MASKS = ("attn_mask", "attention_mask")
"""Names under which blocks are given a mask over the joint sequence."""

PositionRows = Callable[[Tensor, int], Tensor]
"""(rotations of the text (B, 1, L, D/2, 2, 2), how many) -> (1 or B, 1, K, D/2, 2, 2)."""


@dataclass(frozen=True, eq=False)
class JointSequence:
    """The arguments of a joint block that grow with its text: rotations and masks.

    rows: the rotations of K tokens beside this text; None where blocks know no positions.
    text_first: whether the text stands before the picture in rotations, masks and keys.
    cross: whether the block's attention to the text has no keys of the picture.
    """

    rows: PositionRows | None = None
    text_first: bool = True
    cross: bool = False

    def place(self, length: int, picture: int, append: bool) -> tuple[int, int]:
        """Among the keys of the block's attention to the text: where tokens beside a text of this
        length are put, and how many keys there are without them."""
        before = 0 if self.text_first or self.cross else picture
        at = before + length if append else before
        return at, length if self.cross else length + picture

    def grown(
        self, args: Mapping[str, Any], length: int, count: int, append: bool
    ) -> dict[str, Any]:
        """The entries of `args` that change where `count` tokens join a text of `length`."""
        found: dict[str, Any] = {}
        picture = args["img"].shape[1]
        whole = length + picture
        start = 0 if self.text_first else picture
        at = start + length if append else start
        for name in ROTATIONS if self.rows is not None else ():
            pe = args.get(name)
            if pe is not None:
                own = pe.shape[2] - picture
                rows = self.rows(pe[:, :, start : start + own], count).to(pe)
                rows = rows.expand(pe.shape[0], *rows.shape[1:])
                found[name] = insert(pe, rows, start + own if append else start, dim=2)
        for name in MASKS:
            if args.get(name) is not None:
                found[name] = grow_mask(args[name], whole, count, at)
        return found


def insert(sequence: Tensor, rows: Tensor, at: int, dim: int) -> Tensor:
    """`rows` put before position `at` of a dimension."""
    before = sequence.narrow(dim, 0, at)
    after = sequence.narrow(dim, at, sequence.shape[dim] - at)
    return torch.cat((before, rows, after), dim=dim)


def grow_mask(mask: Tensor, whole: int, count: int, at: int) -> Tensor:
    """An attention mask, of booleans or addends, in which all see the new rows and they see all.

    mask: (..., S) over keys or (..., S, S) over queries and keys, S = `whole`.
    """
    keys_only = mask.dim() < 2 or mask.shape[-2] != whole
    for dim in (-1,) if keys_only else (-1, -2):
        shape = list(mask.shape)
        shape[dim] = count
        seen = 1 if mask.dtype == torch.bool else 0
        mask = insert(mask, mask.new_full(shape, seen), at, dim)
    return mask


def at_zero(text: Tensor, count: int) -> Tensor:
    """Rows for networks that place the whole text at position 0."""
    return text[:, :, :1].expand(-1, -1, count, -1, -1, -1)


@dataclass(frozen=True, eq=False)
class CountedOn:
    """Rows for networks that count text positions from 0: L, L + 1, ...

    embed: the network's own position embedder. axes: which of `width` axes are counted.
    """

    embed: Callable[[Tensor], Tensor]
    axes: tuple[int, ...]
    width: int

    def __call__(self, text: Tensor, count: int) -> Tensor:
        ids = torch.zeros((1, count, self.width), dtype=torch.float32, device=text.device)
        for axis in self.axes:  # one by one: a list of them would be copied to the device
            ids[:, :, axis : axis + 1] = _steps(text.shape[2], count, text.device)
        return self.embed(ids)


@dataclass(frozen=True, eq=False)
class Following:
    """Rows that follow the text's last one, wherever that stands: its rotation, turned further.

    embed: the network's own position embedder. width: its axes, all of which count the text.
    """

    embed: Callable[[Tensor], Tensor]
    width: int

    def __call__(self, text: Tensor, count: int) -> Tensor:
        ids = _steps(1, count, text.device).expand(1, count, self.width)
        return text[:, :, -1:].float() @ self.embed(ids)


def _steps(start: int, count: int, device: torch.device) -> Tensor:
    """(count, 1): start, start + 1, ..."""
    return torch.arange(start, start + count, dtype=torch.float32, device=device).unsqueeze(1)
