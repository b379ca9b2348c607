"""One process or many (torchrun): who does which rows, and how results come together."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor

from ..errors import BadInput

Result = TypeVar("Result")
_PATIENCE = timedelta(hours=6)
"""Long enough for one process to wait while another encodes its share of a large data set."""
_ASKED_AGAIN = 0.05
"""Seconds between two looks for who has come."""
_LATE = 6
"""Looks, half a second apart, before a file counts as not being there."""


@dataclass(frozen=True)
class Processes:
    """This process among all. Rows of a batch are dealt out in turn; gradients are summed.

    Every process draws the same batch (see `randomness`) and reads all its captions, so that
    negatives span the whole batch without any of them being sent. local_rank, local_count: among
    those of the same machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

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

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """What `work` gives: done by the first process, then by the first one of each other
        machine, then by the rest, so that the later ones find what the earlier ones left on disk.

        Every process raises what its own work raises, once all have had their turn.
        """
        own = 0 if self.first else 1 if self.local_rank == 0 else 2
        found, failed = None, None
        for turn in range(1 if self.count == 1 else 3):
            try:
                found = work() if turn == own else found
            except Exception as error:
                failed = error
            self.wait()
        if failed is not None:
            raise failed
        return found

    def sharing(self, folder: Path) -> Processes:
        """This process among those that see the same folder: all, or those of its machine, where
        each machine has a disk of its own."""
        if self.count == self.local_count or self.all_see(folder):
            return self
        return replace(self, rank=self.local_rank, count=self.local_count)

    def all_see(self, folder: Path) -> bool:
        """Whether the folder is the same one for all processes; it is made where it is not."""
        if self.count == 1:
            return True
        token = [f".seen-{secrets.token_hex(8)}"]
        distributed.broadcast_object_list(token)
        mark = folder / token[0]
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if self.first:
                mark.touch()
        self.wait()
        seen = torch.tensor(float(_appears(mark)), device=_device())
        self.sum(seen)
        if self.first:
            mark.unlink(missing_ok=True)
        return int(seen) == self.count

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
    Raises BadInput where there are fewer GPUs than processes.
    """
    rank = local_rank()
    if rank is None or not torch.cuda.is_available():
        return
    if rank >= (there := torch.cuda.device_count()):
        raise BadInput(
            f"torchrun started more processes than this machine has GPUs ({there}): start one for "
            f"each with --nproc-per-node={there}, or add --cpu to the trainer's flags."
        )
    torch.cuda.set_device(rank)


def join(cpu: bool = False) -> Processes:
    """Meets the other processes that torchrun started; alone without it.

    cpu: they train on the CPU, whatever else the machine has.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    if os.name == "nt":  # PyTorch is built without libuv there, and asks for it all the same
        os.environ.setdefault("USE_LIBUV", "0")
    # Windows has no NCCL.
    nccl = not cpu and torch.cuda.is_available() and distributed.is_nccl_available()
    # Where a process dies, PyTorch leaves a word in torchrun's store for the others to write down
    # what NCCL did; those that are started again find it, and would be ended after eight minutes.
    os.environ.setdefault("TORCH_NCCL_DUMP_ON_TIMEOUT", "0")
    met = _met() if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" else {}
    distributed.init_process_group("nccl" if nccl else "gloo", timeout=_PATIENCE, **met)
    count = distributed.get_world_size()
    local_count = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    return Processes(distributed.get_rank(), count, local_rank() or 0, local_count)


def _met() -> dict[str, Any]:
    """Where these processes meet, who this is and how many they are, as PyTorch wants it.

    torchrun keeps one store for all its restarts, and PyTorch (2.14) writes there what it wrote
    before: started again, processes would look for each other at the addresses of the dead.
    """
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    where = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(*where, is_master=False, timeout=_PATIENCE)
    return {"store": round_of(store, rank, count), "rank": rank, "world_size": count}


def round_of(store: distributed.Store, rank: int, count: int) -> distributed.Store:
    """A part of the store that only these `count` processes know, which all must call this.

    The first one makes up its name and tells it to whoever asks by a name of their own, until all
    have said it back: what earlier processes have left behind is answered too, and never read. How
    often they were started does not tell: torchrun's machines count their restarts apart.
    """
    name = secrets.token_hex(8)
    said = [f"softrepa/{other}" for other in range(count)]
    if rank > 0:
        store.set(said[rank], name)
        name = store.get(name).decode()
        store.set(said[rank], name)
        return distributed.PrefixStore(name, store)
    waiting = set(said[1:])
    while waiting:
        for key in [key for key in waiting if store.check([key])]:
            other = store.get(key).decode()
            if other == name:
                waiting.remove(key)
            else:
                store.set(other, name)
        time.sleep(_ASKED_AGAIN)
    return distributed.PrefixStore(name, store)


def _device() -> str:
    """Where collectives of this backend want their tensors."""
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"


def _appears(mark: Path) -> bool:
    """Whether a file that was made a moment ago is there; network disks show it a little late."""
    for _ in range(_LATE):
        if mark.name in _names(mark.parent):
            return True
        time.sleep(0.5)
    return False


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def zero_missing(parameters: Iterable[Tensor]) -> None:
    """A process without rows has no gradients, but all must take part in their sum."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
