"""What is entered for each call of a module, and left after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


@contextmanager
def around_calls(
    modules: Iterable[torch.nn.Module],
    opened: Callable[[torch.nn.Module, tuple[Any, ...], dict[str, Any]], AbstractContextManager],
) -> Iterator[None]:
    """Within it, each call of these modules is made under what `opened` gives for the module and
    its arguments: around all that others have hooked to it. The hooks are off again after it."""
    open_ones: list[AbstractContextManager[Any]] = []
    handles: list[Any] = []

    def before(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entered = opened(module, args, kwargs)
        entered.__enter__()
        open_ones.append(entered)

    def after(*_: Any) -> None:
        open_ones.pop().__exit__(None, None, None)

    try:
        for module in modules:
            handles += [
                module.register_forward_pre_hook(before, prepend=True, with_kwargs=True),
                module.register_forward_hook(after),
            ]
        yield
    finally:
        for handle in handles:
            handle.remove()
        while open_ones:  # a module that failed
            after()
