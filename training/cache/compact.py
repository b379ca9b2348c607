"""Tensors without what need not be stored: zero rows and columns, and half of the bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Segment = tuple[int, int, int, int]
"""Rows from, rows to, columns from, columns to: a part of an embedding that is not all zero."""

_GRAIN = 64
"""Column ranges are widened to multiples of this, so chance zeros at an edge split nothing."""


def halved(tensor: Tensor) -> Tensor:
    """In float16, or in bfloat16 where a value is beyond float16's range.

    Raises ValueError on NaN or infinity.
    """
    if not torch.isfinite(tensor).all():
        raise ValueError("NaN or infinity")
    largest = tensor.abs().max() if tensor.numel() else tensor.new_zeros(())
    fits = float(largest) <= torch.finfo(torch.float16).max
    return tensor.to(torch.float16 if fits else torch.bfloat16).contiguous()


def quartered(part: Tensor) -> tuple[Tensor, Tensor]:
    """(n, D) float32 in 8 bits, and the scale of every 64 values of a row, (n, D / 64) float16.

    The largest of these values is 127 steps.
    """
    rows, width = part.shape
    grouped = torch.nn.functional.pad(part, (0, -width % _GRAIN)).view(rows, -1, _GRAIN)
    scale = (grouped.abs().amax(-1) / 127).half()
    step = scale.float()[..., None]
    steps = torch.where(step > 0, grouped / step.clamp(min=1e-12), 0.0).round().clamp(-127, 127)
    return steps.to(torch.int8).view(rows, -1)[:, :width].contiguous(), scale


def whole(steps: Tensor, scale: Tensor) -> Tensor:
    """(n, D) float32 of what `quartered` gave."""
    return steps.float() * scale.float().repeat_interleave(_GRAIN, 1)[:, : steps.shape[1]]


def segments(context: Tensor) -> list[Segment]:
    """The parts of an (n, D) embedding that hold all of its nonzero values, in row order.

    SD3's CLIP rows fill 768 or 2048 of 4096 columns, its T5 rows all of them: two segments.
    """
    rows, width = context.shape
    hulls = [_hull(row, width) for row in (context != 0).cpu()]
    found: list[Segment] = []
    for row in range(rows):
        if hulls[row] is None:
            continue
        start, stop = hulls[row]
        if found and found[-1][1] == row and found[-1][2:] == (start, stop):
            found[-1] = (found[-1][0], row + 1, start, stop)
        else:
            found.append((row, row + 1, start, stop))
    return found


def _hull(nonzero: Tensor, width: int) -> tuple[int, int] | None:
    places = nonzero.nonzero()
    if not len(places):
        return None
    first, last = int(places[0]), int(places[-1])
    return first // _GRAIN * _GRAIN, min(width, -(-(last + 1) // _GRAIN) * _GRAIN)


def restored(shape: Sequence[int], parts: Sequence[tuple[Segment, Tensor]]) -> Tensor:
    """The (n, D) float32 embedding that these parts, as stored, were taken from."""
    context = torch.zeros(*shape, dtype=torch.float32)
    for (top, bottom, left, right), part in parts:
        context[top:bottom, left:right] = part.float()
    return context
