"""Weights that a backward pass can go through."""

from __future__ import annotations

import torch
from torch import Tensor


def replace_inference_tensors(model: torch.nn.Module, device: torch.device | None = None) -> None:
    """Equal weights in place of those made under `torch.inference_mode`, as ComfyUI's nodes make
    them, which no backward pass can go through; one at a time, so that memory holds one twice.
    Those that have been moved to a device outside of it since are among them.

    device: only weights that lie there; those that lie elsewhere are copied when they are used.
    """
    known: dict[int, Tensor] = {}
    for module in model.modules():
        for named in (module._parameters, module._buffers):
            for name, tensor in named.items():
                if tensor is None or _has_versions(tensor):
                    continue
                if device is not None and tensor.device != device:
                    continue
                if id(tensor) not in known:
                    own = tensor.detach().clone()
                    if isinstance(tensor, torch.nn.Parameter):
                        own = torch.nn.Parameter(own, requires_grad=False)
                    known[id(tensor)] = own
                named[name] = known[id(tensor)]


def _has_versions(tensor: Tensor) -> bool:
    """Whether a graph can keep it. `is_inference` does not tell of a parameter that was made under
    inference mode and moved without: its data are new, but it counts no versions all the same."""
    try:
        return tensor._version >= 0
    except RuntimeError:
        return False
