"""Memory that runs out: how to tell, how much a step may take, and what helps."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

import torch

from ..model.denoiser import Denoiser, Text
from ..model.joint_blocks import ONE_BLOCK, can_checkpoint, training_options, with_adapter
from ..model.soft_tokens import SoftTokens
from .batches import Batch
from .engine import prepare, weighed

_SHARE = 0.7
"""Of the free memory for activations; the backward pass needs some besides."""
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
    """Predictions, 1 to `most`, whose activations fit the free memory; one takes that many bytes.

    A first guess, to be halved where it was too much.
    """
    import comfy.model_management

    left = comfy.model_management.get_free_memory(device) * _SHARE
    return max(1, min(most, int(left / max(1, prediction))))


def saved_bytes(
    denoiser: Denoiser,
    live: SoftTokens,
    latent: torch.Tensor,
    text: Text,
    checkpointing: bool,
    weight: float = 1.0,
) -> int:
    """Bytes that autograd keeps of one prediction, weights not counted."""
    batch = Batch((0,), ("",), ((0,),), denoiser.timesteps // 2, torch.zeros_like(latent))
    task = prepare(denoiser, batch, latent, [text])
    weights = {p.untyped_storage().data_ptr() for p in denoiser.model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    options = with_adapter(
        training_options(denoiser.model, checkpointing), weighed(denoiser.model, live, weight)
    )
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        prediction = denoiser.predict(
            task.noisy.x, task.noisy.sigma, task.conditions.take([0]), options
        )
    del prediction
    return sum(kept.values())


def block_bytes(denoiser: Denoiser, kept: int) -> int:
    """Bytes that one block takes while it is computed again, of what a prediction keeps: roughly.
    Weights of 8 bits are there in the type they are computed in, too."""
    layers = denoiser.architecture.layers(denoiser.model)
    if not layers:
        return 0
    compute = denoiser.model.manual_cast_dtype
    largest = max(sum(p.numel() for p in layer.parameters()) for layer in layers)
    cast = 0 if compute is None else largest * compute.itemsize
    return kept * ONE_BLOCK // len(layers) + cast


@dataclass(frozen=True)
class Remedies:
    """What a run can still do about it. auto: the micro-batch is the trainer's own choice.
    checkpointing: used already, None where the model cannot."""

    auto: bool
    checkpointing: bool | None
    resolution: int

    @classmethod
    def of(cls, settings: Any, model: torch.nn.Module, auto: bool) -> Remedies:
        can = can_checkpoint(model)
        return cls(auto, settings.checkpointing if can else None, settings.resolution)

    def advice(self, micro_batch: int, saved: int) -> str:
        """What helps next, and how much of the activations it leaves. saved: the step to go on
        from, 0 for none."""
        found = []
        if micro_batch > 1:
            found.append(f"--micro-batch {micro_batch // 2} (half the activations)")
        if self.checkpointing is False:
            found.append("--checkpointing (about a tenth of the activations)")
        smaller = self.resolution * 3 // 4 // 64 * 64
        share = f"{(smaller / self.resolution) ** 2:.0%} of the activations"
        less = [f"--resolution {smaller} ({share})"] if smaller else []
        if not saved:
            told = " or ".join([*found, *less])
            return f"start again with {told}" if told else _CLOSE
        ways = [f"go on with --resume and {' or '.join(found)}"] if found else []
        ways += [f"start anew with {less[0]} and another --output"] if less else []
        return f"step {saved} is saved; {', or '.join(ways) or _CLOSE}"
