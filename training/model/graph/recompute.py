"""Activation checkpointing of any block, by what autograd itself offers: its graph keeps the
block's inputs alone, and what else it needs is computed once more in the backward pass.

Neither ComfyUI's `checkpoint` of a ResBlock (it asks for gradients of frozen weights, and sees no
tensor that a patch brings in) nor torch's can be put around a U-Net's blocks without overriding a
forward; hooks of a module, on for one call, can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....injection.backward.around_calls import around_calls
from ....injection.backward.uncopied_weights import (
    UncopiedWeights,
    autocast_dtype,
    castable,
    made_again,
)


@dataclass(frozen=True, eq=False)
class RecomputedModules:
    """An `APPLY_MODEL` wrapper: the graph keeps of these modules the inputs alone."""

    modules: tuple[torch.nn.Module, ...]

    def __call__(self, executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return executor(*args, **kwargs)
        # Around all that others have on the module: it runs again with theirs.
        with around_calls(self.modules, recomputed):
            return executor(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> RecomputedModules:
        return self  # it refers to the model


@contextmanager
def recomputed(
    run: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[None]:
    """For one call of `run(*args, **kwargs)` with a graph: it keeps their tensors alone.

    Tensors that come from elsewhere (a patch's tokens) may have gradients too. Dictionaries are
    kept as they are now, as ComfyUI goes on writing into `transformer_options`. Raises RuntimeError
    in the backward pass where a tensor among the arguments has been written over since.
    """
    frame = _Frame(run, args, kwargs)
    with torch.autograd.graph.saved_tensors_hooks(frame.pack, frame.unpack):
        yield
    if not frame.packed:
        frame.forget()


class _Frame:
    """One call of a block: what its graph would keep is known by its place in the order."""

    def __init__(
        self, run: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self.packed = 0
        self._run = run
        self._names = (len(args), tuple(kwargs))
        given = [*args, *kwargs.values()]
        self._rest = [_as_it_is(each) for each in given]
        self._tensors = _kept([each for each in given if isinstance(each, Tensor)])
        self._made: dict[int, Any] = {}
        self._autocast = _autocast(given)

    def forget(self) -> None:
        """Lets go of the inputs, where the graph does not go through the block."""
        self._rest, self._tensors = [], None

    def pack(self, tensor: Tensor) -> int:
        self.packed += 1
        return self.packed - 1

    def unpack(self, place: int) -> Tensor:
        if place not in self._made:
            self._make()
        return made_again(self._made.pop(place))

    def _make(self) -> None:
        count, names = self._names
        tensors = iter(self._tensors.grad_fn.saved_tensors)
        given = [next(tensors) if each is _TENSOR else _as_it_is(each) for each in self._rest]
        made: list[Any] = []

        def keep(found: Any) -> int:
            made.append(found.detach() if isinstance(found, Tensor) else found)
            return 0

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, _never)
        # Between here and the backward pass of a layer, ComfyUI may fetch other layers' weights to
        # where that layer's were.
        layers = castable(self._run) if isinstance(self._run, torch.nn.Module) else ()
        run = UncopiedWeights(layers, keep)
        with torch.enable_grad(), self._autocast(), hooks:
            run(self._run, *given[:count], **dict(zip(names, given[count:], strict=True)))
        if len(made) != self.packed:
            raise RuntimeError("A block went another way when it was computed once more.")
        self._made = dict(enumerate(made))


_TENSOR = object()
"""In the place of a tensor, which the graph keeps."""


def _as_it_is(given: Any) -> Any:
    if isinstance(given, Tensor):
        return _TENSOR
    return dict(given) if isinstance(given, dict) else given


class _Kept(torch.autograd.Function):
    """Keeps tensors as every other part of a graph does: whoever counts or moves what graphs keep
    meets them, and they cannot be written over unnoticed."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return anchor.new_empty(0)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        _never()


def _kept(tensors: Sequence[Tensor]) -> Tensor:
    """A tensor whose `grad_fn` keeps these. Not that alone: torch up to 2.11 lets go of them once
    the tensor is gone (2.13 does not)."""
    return _Kept.apply(torch.empty(0, requires_grad=True), *tensors)


def _never(*_: Any) -> Any:
    raise AssertionError("nothing goes backwards through here")


def _autocast(given: Sequence[Any]) -> Callable[[], AbstractContextManager[Any]]:
    """What is cast now on the tensors' device, to be entered again."""
    kind = next((each.device.type for each in given if isinstance(each, Tensor)), "cpu")
    dtype = autocast_dtype(kind)
    return nullcontext if dtype is None else lambda: torch.autocast(kind, dtype)
