"""One process or many (torchrun): who does which rows, and how results come together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as distributed
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process among all. Rows of a batch are dealt out in turn; gradients are summed.

    Every process draws the same batch (see `randomness`) and reads all its captions, so that
    negatives span the whole batch without any of them being sent.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """The one process that writes files."""
        return self.rank == 0

    def share(self, rows: int) -> range:
        return range(self.rank, rows, self.count)

    def sum(self, *tensors: Tensor) -> None:
        """Adds the tensors up over all processes, in place."""
        if self.count > 1:
            # Gloo reduces in the main memory.
            away = distributed.get_backend() == "gloo"
            for tensor in tensors:
                reduced = tensor.cpu() if away else tensor
                distributed.all_reduce(reduced)
                if reduced is not tensor:
                    tensor.copy_(reduced)

    def wait(self) -> None:
        """Returns once every process is here."""
        if self.count > 1:
            distributed.barrier()

    def close(self) -> None:
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def local_rank() -> int | None:
    """Which of its machine's processes this is, as torchrun says; None without torchrun."""
    rank = os.environ.get("LOCAL_RANK")
    return None if rank is None else int(rank)


def take_device() -> None:
    """Makes this process' own GPU the current one, where torchrun started several.

    Before ComfyUI is imported, which opens the current one, or each would hold memory on the first.
    """
    rank = local_rank()
    if rank is not None and torch.cuda.is_available():
        torch.cuda.set_device(rank)


def join() -> Processes:
    """Meets the other processes that torchrun started; alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    # Windows has no NCCL.
    nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    # Long enough for one process to wait while another encodes its share of a large data set.
    distributed.init_process_group("nccl" if nccl else "gloo", timeout=timedelta(hours=6))
    return Processes(distributed.get_rank(), distributed.get_world_size())


def zero_missing(parameters: Iterable[Tensor]) -> None:
    """A process without rows has no gradients, but all must take part in their sum."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
