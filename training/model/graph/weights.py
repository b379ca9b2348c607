"""Weights that are cast for each use: the graph keeps the weight, and no cast copy of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .recompute import autocast_dtype


@dataclass(frozen=True, eq=False)
class UncopiedWeights:
    """An `APPLY_MODEL` wrapper. A linear layer or convolution needs its weight in the backward
    pass, as it was used: where that was a copy in another dtype (fp8 files, autocast) or of a
    weight that lies in the main memory, the graph would keep a second model, or what newer cores
    have written over since. Here the copy is made again instead."""

    modules: tuple[torch.nn.Module, ...]

    def __call__(self, executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        cast = self._cast() if torch.is_grad_enabled() else []
        open_ones: list[AbstractContextManager[Any]] = []
        handles: list[Any] = []

        def before(module: torch.nn.Module, _: Any) -> None:
            hooks = torch.autograd.graph.saved_tensors_hooks(_pack(module.weight), _unpack)
            hooks.__enter__()
            open_ones.append(hooks)

        def after(*_: Any) -> None:
            open_ones.pop().__exit__(None, None, None)

        try:
            for module in cast:
                handles += [
                    module.register_forward_pre_hook(before, prepend=True),
                    module.register_forward_hook(after),
                ]
            return executor(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
            while open_ones:  # a module that failed
                after()

    def _cast(self) -> list[torch.nn.Module]:
        """Those that cast by themselves, or that autocast casts for."""
        return [
            module
            for module in self.modules
            if (module.comfy_cast_weights or _autocast_differs(module.weight))
            and not (module.weight_function or module.weight.requires_grad)
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> UncopiedWeights:
        return self  # it refers to the model


def castable(network: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """Linear layers and convolutions of ComfyUI that use their weight as it is, but for its dtype.
    Those with scales beside it (scaled fp8, quantised tensors) are not among them."""
    import comfy.ops

    plain = comfy.ops.disable_weight_init
    kinds = (plain.Linear, plain.Conv1d, plain.Conv2d, plain.Conv3d)
    forwards = [kind.forward_comfy_cast_weights for kind in kinds]
    quantised = getattr(comfy.ops, "QuantizedTensor", ())
    return tuple(
        module
        for module in network.modules()
        if isinstance(module, kinds)
        and type(module).forward_comfy_cast_weights in forwards
        and not isinstance(module.weight, quantised)
    )


def _autocast_differs(weight: Tensor) -> bool:
    return autocast_dtype(weight.device.type) not in (None, weight.dtype)


@dataclass(frozen=True, eq=False)
class _Copy:
    """A weight's copy in another dtype or place, not kept."""

    weight: Tensor
    transposed: bool
    dtype: torch.dtype
    device: torch.device


def _pack(weight: Tensor) -> Callable[[Tensor], Tensor | _Copy]:
    """For one use of the weight: what the graph keeps of a tensor."""
    forms = [(False, weight)] + ([(True, weight.T)] if weight.dim() == 2 else [])

    def pack(tensor: Tensor) -> Tensor | _Copy:
        copied = (tensor.dtype, tensor.device) != (weight.dtype, weight.device)
        # What is on no device yet is not to be had by copying.
        if copied and not tensor.requires_grad and weight.device.type != "meta":
            for transposed, form in forms:
                if (tensor.shape, tensor.stride()) == (form.shape, form.stride()):
                    return _Copy(weight, transposed, tensor.dtype, tensor.device)
        return tensor

    return pack


def _unpack(packed: Tensor | _Copy) -> Tensor:
    if not isinstance(packed, _Copy):
        return packed
    made = packed.weight.detach().to(packed.device).to(packed.dtype)
    return made.T if packed.transposed else made
