"""Weights that are cast for each use: the graph keeps the weight, and no cast copy of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .around_calls import around_calls
from .inference_weights import drop_kept_copies


def _as_it_is(packed: Any) -> Any:
    return packed


@dataclass(frozen=True, eq=False)
class UncopiedWeights:
    """An `APPLY_MODEL` wrapper, or what else a forward pass is called by. A linear layer or
    convolution needs its weight in the backward pass, as it was used: where that was a copy in
    another dtype (fp8 files, autocast) or of a weight that lies in the main memory, the graph would
    keep a second model, or what newer cores have written over since. Here the copy is made again
    instead.

    keep: what else is done with all that these layers' graph keeps, tensors and copies to be made;
    it then has to call `made_again` on the latter.
    """

    modules: tuple[torch.nn.Module, ...]
    keep: Callable[[Any], Any] = _as_it_is

    def __call__(self, executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        cast = self._cast() if torch.is_grad_enabled() else []
        with around_calls(cast, self._hooks):
            return executor(*args, **kwargs)

    def _hooks(self, module: torch.nn.Module, *_: Any) -> AbstractContextManager[Any]:
        drop_kept_copies(module)
        pack, keep = _pack(module), self.keep
        return torch.autograd.graph.saved_tensors_hooks(lambda x: keep(pack(x)), made_again)

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


def autocast_dtype(kind: str) -> torch.dtype | None:
    """What autocast casts to now on this kind of device; None where it is off."""
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def _autocast_differs(weight: Tensor) -> bool:
    return autocast_dtype(weight.device.type) not in (None, weight.dtype)


@dataclass(frozen=True, eq=False)
class _Copy:
    """A weight's copy in another dtype or place, not kept. patched: with LoRAs that ComfyUI puts on
    it at use."""

    module: torch.nn.Module
    patched: bool
    transposed: bool
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


def _pack(module: torch.nn.Module) -> Callable[[Tensor], Tensor | _Copy]:
    """For one use of the module's weight: what the graph keeps of a tensor."""
    weight = module.weight
    forms = [(False, weight)] + ([(True, weight.T)] if weight.dim() == 2 else [])
    patched = getattr(module, "weight_lowvram_function", None) is not None

    def pack(tensor: Tensor) -> Tensor | _Copy:
        copied = (tensor.dtype, tensor.device) != (weight.dtype, weight.device)
        # What is on no device yet is not to be had by copying.
        if copied and not tensor.requires_grad and weight.device.type != "meta":
            for transposed, form in forms:
                if _is_form(tensor, form):
                    kind = tensor.dtype, tensor.device
                    return _Copy(module, patched, transposed, tensor.shape, *kind)
        return tensor

    return pack


def _is_form(tensor: Tensor, form: Tensor) -> bool:
    """Whether one lies as the other does; of a batch (inputs that are not contiguous) once for all
    its samples."""
    more = tensor.dim() - form.dim()
    if more < 0 or any(tensor.stride()[:more]):
        return False
    return (tensor.shape[more:], tensor.stride()[more:]) == (form.shape, form.stride())


def made_again(packed: Tensor | _Copy) -> Tensor:
    """What is kept of a tensor, as the tensor."""
    if not isinstance(packed, _Copy):
        return packed
    if packed.patched:
        made = _as_used(packed.module, packed.device, packed.dtype)
    else:
        made = packed.module.weight.detach().to(packed.device).to(packed.dtype)
    return (made.T if packed.transposed else made).expand(packed.shape)


def _as_used(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The weight as ComfyUI gives it to the module's forward; what it gives is its own to reuse."""
    import comfy.ops

    cast = {"device": device, "dtype": dtype, "bias_dtype": dtype, "offloadable": True}
    weight, bias, state = comfy.ops.cast_bias_weight(module, **cast)
    made = weight.detach().clone()
    comfy.ops.uncast_bias_weight(module, weight, bias, state)
    return made
