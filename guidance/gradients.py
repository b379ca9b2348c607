"""Gradients inside ComfyUI's sampling, which runs without any, on weights that allow none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ..injection.backward.inference_weights import drop_kept_copies, replace_inference_tensors
from ..injection.backward.mutation import mutation_allowed
from ..injection.backward.uncopied_weights import UncopiedWeights, castable

T = TypeVar("T")

_WRITING = ("input_block_patch", "input_block_patch_after_skip", "output_block_patch")
"""Patches of which some (FreeU) write into what a backward pass needs; to allow for that takes
time."""


@contextmanager
def gradients(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Gradients are kept within, as ComfyUI's own training does it; the model's weights want none.

    Weights on this device that were made in inference mode are replaced by equal ones, once.
    """
    with torch.inference_mode(False), torch.enable_grad():
        replace_inference_tensors(model, device)
        wanting = [each for each in model.parameters() if each.requires_grad]
        for each in wanting:
            each.requires_grad_(False)
        try:
            yield
        finally:
            for each in wanting:
                each.requires_grad_(True)


def with_little_memory(
    compute: Callable[[], T], model: torch.nn.Module, options: Mapping[str, Any]
) -> T:
    """What `compute` gives, a forward and a backward pass under these `transformer_options`.

    Where the device's memory is too small for it, it is computed again with what the backward pass
    needs kept in the computer's own memory. Weights that ComfyUI fetches for each use are fetched
    again for the backward pass, since newer cores write over what they have fetched; not beside
    FreeU, which writes into what the graph is then told to keep.
    """
    written = any(options.get("patches", {}).get(name) for name in _WRITING)
    try:
        if written:
            drop_kept_copies(model)
            with mutation_allowed():
                return compute()
        return UncopiedWeights(castable(model))(compute)
    except torch.cuda.OutOfMemoryError:
        pass  # outside of the handler, which holds on to what filled the memory
    torch.cuda.empty_cache()
    drop_kept_copies(model)
    with _saved_elsewhere(model):
        return compute()


@contextmanager
def _saved_elsewhere(model: torch.nn.Module) -> Iterator[None]:
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}

    def pack(tensor: Tensor) -> tuple[torch.device, Tensor]:
        if tensor.untyped_storage().data_ptr() in weights:
            return tensor.device, tensor  # it is there in any case
        return tensor.device, tensor.to("cpu")

    def unpack(packed: tuple[torch.device, Tensor]) -> Tensor:
        device, tensor = packed
        return tensor.to(device)

    with saved_tensors_hooks(pack, unpack):
        yield
