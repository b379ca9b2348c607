"""Blocks computed once more when the backward pass comes to them, also where they write into what
they are given or hooks of an adapter have put tokens into it.

For the newer networks. What a graph keeps by `recompute` cannot be written over, and knows no hooks
that are gone by then; `torch.utils.checkpoint` around ComfyUI's patch points runs another block the
second time (the function in a slot finds its block in a loop's variable). Here the block itself is
called, with copies of what it was given, tokens among it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ....injection.backward.mutation import mutation_allowed
from ....injection.backward.uncopied_weights import UncopiedWeights, castable
from .main_memory import kept_in

KEY = "softrepa-training"
"""The name of ours among the wrappers."""

Surroundings = Callable[[], AbstractContextManager[Any]]
"""What a block runs in, the second time as the first: autocast and `training_mode`."""


@dataclass(frozen=True, eq=False)
class RecomputedBlocks:
    """An `APPLY_MODEL` wrapper: runs the network keeping nothing of these blocks but their inputs.

    It must be the innermost: its hooks then see a block's arguments after all others' have. The
    tokens of an adapter must be among these, as no gradient reaches what a hook inside a block or
    a patch has added. place: where the inputs lie meanwhile; None leaves them on their device.
    """

    blocks: Sequence[torch.nn.Module]
    place: torch.device | None = None

    def __call__(self, executor: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        from comfy.patcher_extension import WrappersMP

        *before, options = args[:6]
        wrappers = dict(options.get("wrappers", {}))
        by_key = {**wrappers.get(WrappersMP.DIFFUSION_MODEL, {}), KEY: [self._network]}
        options = {**options, "wrappers": {**wrappers, WrappersMP.DIFFUSION_MODEL: by_key}}
        return executor(*before, options, *args[6:], **kwargs)

    def _network(self, executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return executor(*args, **kwargs)
        surroundings = _as_now(args[0].device.type)
        with ExitStack() as hooks:
            for block in self.blocks:
                call = _Call(block, surroundings, self.place)
                before = block.register_forward_pre_hook(call.before, with_kwargs=True)
                hooks.callback(before.remove)
                # The first of all to see the output; also where the block raises.
                after = block.register_forward_hook(call.after, prepend=True, always_call=True)
                hooks.callback(after.remove)
            return executor(*args, **kwargs)


@contextmanager
def training_mode() -> Iterator[None]:
    """Newer cores take formulas in place of kernels that have no backward pass, where they are told
    so by a variable of theirs: it is as it was afterwards."""
    import comfy.model_management as management

    before = getattr(management, "in_training", None)
    if before is None:
        yield
        return
    management.in_training = True
    try:
        yield
    finally:
        management.in_training = before


def writes_allowed() -> AbstractContextManager[Any]:
    """Forward and backward pass in which blocks may write into what the graph keeps: that is copied
    first. Where only shapes are computed there is nothing to copy, and nothing to tell by."""
    from torch._guards import detect_fake_mode

    if detect_fake_mode() is not None:
        return torch.autograd.graph.saved_tensors_hooks(_same, _same)
    return mutation_allowed()


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _as_now(device: str) -> Surroundings:
    if not torch.amp.is_autocast_available(device):
        return training_mode
    autocast, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    @contextmanager
    def surroundings() -> Iterator[None]:
        with torch.autocast(device, dtype, enabled=autocast), training_mode():
            yield

    return surroundings


class _Call:
    """One block's hooks: it runs without a graph, and its output gets one that calls it again."""

    def __init__(
        self, block: torch.nn.Module, surroundings: Surroundings, place: torch.device | None
    ) -> None:
        self._block, self._surroundings, self._place = block, surroundings, place
        self._given: tuple[list[Any], Any] | None = None

    def before(
        self, block: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        leaves, form = pytree.tree_flatten((args, list(kwargs.values())), _is_whole)
        if not any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves):
            return None  # before the first tokens
        # The call's options change from block to block: they are kept as they are now.
        kept = [dict(leaf) if isinstance(leaf, dict) else leaf for leaf in leaves]
        self._given = (kept, (form, tuple(kwargs)))
        torch.set_grad_enabled(False)
        copied = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return _arguments(copied, *self._given[1])

    def after(self, block: torch.nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._given is None:
            return output
        torch.set_grad_enabled(True)
        (leaves, form), self._given = self._given, None
        if output is None:  # it raised
            return None
        outputs, shape = pytree.tree_flatten(output, _is_whole)
        places = [at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        inputs = [leaves[at] for at in places]
        # The graph holds the inputs for the function below.
        rest = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]

        def again(*tensors: Tensor) -> list[Any]:
            filled = list(rest)
            for at, tensor in zip(places, tensors, strict=True):
                filled[at] = tensor
            args, kwargs = _arguments(filled, *form)
            uncopied = UncopiedWeights(castable(self._block))
            with self._surroundings():
                found = uncopied(self._block.forward, *args, **kwargs)
            return pytree.tree_flatten(found, _is_whole)[0]

        with kept_in(self._place):
            found = _Again.apply(again, outputs, *inputs)
        return pytree.tree_unflatten(found, shape)


def _is_whole(value: Any) -> bool:
    return isinstance(value, dict)


def _arguments(
    leaves: list[Any], form: pytree.TreeSpec, names: tuple[str, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, values = pytree.tree_unflatten(leaves, form)
    return args, dict(zip(names, values, strict=True))


class _Again(torch.autograd.Function):
    """The outputs as they are; backward computes them once more, this time with a graph."""

    @staticmethod
    def forward(
        ctx: Any, again: Callable[..., list[Any]], outputs: list[Any], *inputs: Tensor
    ) -> tuple[Any, ...]:
        ctx.again = again
        ctx.save_for_backward(*inputs)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[2:]
        inputs = [
            kept.detach().requires_grad_(need)
            for kept, need in zip(ctx.saved_tensors, needed, strict=True)
        ]
        with torch.enable_grad(), writes_allowed():
            # Copies, as a block may write into what it is given, and must not into these.
            outputs = ctx.again(*(each.clone() for each in inputs))
            pairs = [
                (output, gradient)
                for output, gradient in zip(outputs, gradients, strict=True)
                if gradient is not None and isinstance(output, Tensor) and output.requires_grad
            ]
            found = iter(
                torch.autograd.grad(
                    [output for output, _ in pairs],
                    [each for each in inputs if each.requires_grad],
                    [gradient for _, gradient in pairs],
                    allow_unused=True,
                )
            )
        return (None, None, *(next(found) if need else None for need in needed))
