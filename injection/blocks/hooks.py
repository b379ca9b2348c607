"""Blocks that ComfyUI has no patch point for: hooks, put on for one call and off again after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from .attention_weight import was_weighed
from .rows import strength_of_rows
from .strength import between, is_full

KEY = "softrepa"
"""The name of ours among the wrappers of the network."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class BlockPatch(Protocol):
    """The tokens of one adapter in one block, a frozen dataclass.

    strength: 1 for the trained effect, never 0. in_attention: it is the tokens' weight there.
    """

    strength: float | Tensor
    in_attention: bool

    def grow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """The block's arguments with the tokens in them, and in its options what is weighed."""

    def cut(self, output: Tensor) -> Tensor:
        """The block's output without what the tokens became."""


@dataclass(frozen=True, eq=False)
class BlockHooks:
    """A `DIFFUSION_MODEL` wrapper: runs the network with hooks on these modules.

    patches: those of each module, the first adapter's first.
    """

    patches: Mapping[torch.nn.Module, tuple[BlockPatch, ...]]

    def __call__(self, executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        handles: list[Any] = []
        try:
            for module, patches in self.patches.items():
                hooks = _Hooks(patches)
                handles += [
                    module.register_forward_pre_hook(hooks.before, with_kwargs=True),
                    module.register_forward_hook(hooks.after, prepend=True, with_kwargs=True),
                ]
            return executor(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()

    def __deepcopy__(self, memo: dict[int, Any]) -> BlockHooks:
        return self  # it refers to the model


def add_hooks(options: dict[str, Any], patches: Mapping[torch.nn.Module, BlockPatch]) -> None:
    """Adds the patches to those already on the network, all on one pair of hooks a module."""
    wrappers = dict(options.get("wrappers", {}))
    by_key = dict(wrappers.get(WrappersMP.DIFFUSION_MODEL, {}))
    earlier = next(iter(by_key.get(KEY, ())), None)
    merged = {} if earlier is None else dict(earlier.patches)
    for module, patch in patches.items():
        merged[module] = (*merged.get(module, ()), patch)
    by_key[KEY] = [BlockHooks(merged)]
    wrappers[WrappersMP.DIFFUSION_MODEL] = by_key
    options["wrappers"] = wrappers


class _Hooks:
    """One module's hooks, for one call of the network.

    The module itself runs with the tokens of all patches. Where some act partially, the passes
    without theirs are computed after it.
    """

    def __init__(self, patches: tuple[BlockPatch, ...]) -> None:
        self._patches = patches
        self._given: Arguments = ((), {})
        self._grown: list[Arguments] = []

    def before(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        self._given, self._grown = (args, kwargs), []
        for patch in reversed(self._patches):
            args, kwargs = patch.grow(args, kwargs)
            self._grown.append((args, kwargs))
        return args, kwargs

    def after(
        self,
        module: torch.nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Tensor,
    ) -> Tensor:
        computed = [output]

        def run(*args: Any, **kwargs: Any) -> Tensor:
            # What `_with_tokens` asks for first is what the module was run with.
            return computed.pop() if computed else module.forward(*args, **kwargs)

        given, grown = self._given, self._grown
        self._given, self._grown = ((), {}), []
        return _with_tokens(run, self._patches, *given, grown)


def _with_tokens(
    run: Callable[..., Tensor],
    patches: tuple[BlockPatch, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    grown: Sequence[Arguments] = (),
) -> Tensor:
    """The block with every patch; the last one's strength lies between the others and all.

    grown: what the patches have made of the arguments already, the last one first.
    """
    if not patches:
        return run(*args, **kwargs)
    *others, last = patches
    longer = grown[0] if grown else last.grow(args, kwargs)
    with_tokens = last.cut(_with_tokens(run, tuple(others), *longer, grown[1:]))
    if is_full(last.strength):
        return with_tokens
    if last.in_attention:
        if was_weighed(longer[1]["transformer_options"]):
            return with_tokens
        blended = replace(last, in_attention=False)  # this attention takes no weights
        return _with_tokens(run, (*others, blended), args, kwargs)
    plain = _with_tokens(run, tuple(others), args, kwargs)
    chunks = longer[1].get("transformer_options", {}).get("cond_or_uncond") or ()
    strength = strength_of_rows(last.strength, plain.shape[0], plain.shape[0], chunks)
    return between(plain, with_tokens, strength)
