"""Memory that runs out: how to tell, how much a step may take, and what helps."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

import torch

_SHARE = 0.7
"""Of the free memory for predictions; libraries need some besides."""
_SAID = (
    "out of memory",  # CUDA's and cuDNN's own, "MPS backend out of memory", HIP, XPU
    "can't allocate memory",  # DefaultCPUAllocator
    "not enough memory",  # DefaultCPUAllocator on Windows
    "out_of_device_memory",
    "out_of_host_memory",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED and its kin
)


_CLOSE = "close other programs that use the device"


class OutOfMemory(Exception):
    """One sentence on where memory ran out and what helps; what was good has been saved."""


def ran_out(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _SAID)


def free() -> None:
    """Gives back what a step that failed has left on the device."""
    import comfy.model_management

    gc.collect()
    comfy.model_management.soft_empty_cache()


def affordable(device: torch.device, prediction: int, most: int) -> int:
    """Predictions, 1 to `most`, that fit the free memory; one takes that many bytes.

    A first guess, to be halved where it was too much.
    """
    import comfy.model_management

    left = comfy.model_management.get_free_memory(device) * _SHARE
    return max(1, min(most, int(left / max(1, prediction))))


@dataclass(frozen=True)
class Remedies:
    """What a run can still do about it. auto: the micro-batch is the trainer's own choice.
    checkpointing: used already."""

    auto: bool
    checkpointing: bool
    resolution: int

    @classmethod
    def of(cls, settings: Any, auto: bool) -> Remedies:
        return cls(auto, settings.checkpointing, settings.resolution)

    def advice(self, micro_batch: int, saved: int) -> str:
        """What helps next, and how much of the activations it leaves. saved: the step to go on
        from, 0 for none."""
        found = []
        if micro_batch > 1:
            found.append(f"--micro-batch {micro_batch // 2} (half the activations)")
        if not self.checkpointing:
            found.append("--checkpointing (a third of the activations or less)")
        smaller = self.resolution * 3 // 4 // 64 * 64
        share = f"{(smaller / self.resolution) ** 2:.0%} of the activations"
        less = [f"--resolution {smaller} ({share})"] if smaller else []
        if not saved:
            told = " or ".join([*found, *less])
            return f"start again with {told}" if told else _CLOSE
        ways = [f"go on with --resume and {' or '.join(found)}"] if found else []
        ways += [f"start anew with {less[0]} and another --output"] if less else []
        return f"step {saved} is saved; {', or '.join(ways) or _CLOSE}"
