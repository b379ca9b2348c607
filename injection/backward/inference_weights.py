"""Weights that a backward pass can go through."""

from __future__ import annotations

import torch
from torch import Tensor


def replace_inference_tensors(model: torch.nn.Module, device: torch.device | None = None) -> None:
    """Equal weights in place of those made under `torch.inference_mode`, as ComfyUI's nodes make
    them, which no backward pass can go through; one at a time, so that memory holds one twice.
    Those that have been moved to a device since are among them, and so are ordinary ones that were
    moved under inference mode.

    device: only weights that lie there; those that lie elsewhere are copied when they are used.
    """
    known: dict[int, Tensor] = {}
    for module in model.modules():
        for named in (module._parameters, module._buffers):
            for name, tensor in named.items():
                if tensor is None or _keepable(tensor):
                    continue
                if device is not None and tensor.device != device:
                    continue
                if id(tensor) not in known:
                    own = tensor.detach().clone()
                    if isinstance(tensor, torch.nn.Parameter):
                        own = torch.nn.Parameter(own, requires_grad=False)
                    known[id(tensor)] = own
                named[name] = known[id(tensor)]


def drop_kept_copies(model: torch.nn.Module) -> None:
    """Has ComfyUI copy weights anew at their next use, where it keeps copies on the device that
    were made under inference mode.

    Newer cores do so (dynamic VRAM); without its signature a copy is made again, as it is there
    where a weight's patches have changed.
    """
    for module in model.modules():
        kept = (getattr(module, name, None) for name in ("_v_weight", "_v_bias"))
        if any(isinstance(each, Tensor) and each.is_inference() for each in kept):
            module._v_signature = None


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor; an equal one, where it was made under inference mode. To be called outside."""
    return tensor.clone() if tensor.is_inference() else tensor


def _keepable(tensor: Tensor) -> bool:
    """Whether a graph can keep it. `is_inference` does not tell of a parameter that was made under
    inference mode and moved without: its data are new, but it counts no versions all the same. Of
    one that was made without and moved under it, only `is_inference` tells."""
    try:
        return tensor._version >= 0 and not tensor.is_inference()
    except RuntimeError:
        return False
