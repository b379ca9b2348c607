"""What a graph keeps of blocks that are computed again, kept in the computer's main memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

MAIN_MEMORY = torch.device("cpu")


@dataclass(frozen=True)
class _Away:
    """A tensor's copy elsewhere, and the device that it is needed on again."""

    copy: Tensor
    device: torch.device


def kept_in(place: torch.device | None) -> AbstractContextManager[object]:
    """For operations within: what the graph keeps of them lies there; None leaves it where it is.

    Only what has gradients, which is a block's own: all else is shared by the blocks, and there
    once. Copies to the main memory go into pinned pages, and none of them waits for the device:
    they are in the order of its other work.
    """
    if place is None:
        return nullcontext()

    def pack(tensor: Tensor) -> Tensor | _Away:
        if not tensor.requires_grad:
            return tensor
        copy = tensor.detach().to(place, non_blocking=True, copy=True)
        return _Away(copy, tensor.device)

    return torch.autograd.graph.saved_tensors_hooks(pack, _back)


def _back(packed: Tensor | _Away) -> Tensor:
    if not isinstance(packed, _Away):
        return packed
    return packed.copy.to(packed.device, non_blocking=True)
