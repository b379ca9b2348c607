"""torch's `allow_mutation_on_saved_tensors`, which may take a new tensor for an older one."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch


@contextmanager
def mutation_allowed() -> Iterator[None]:
    """Forward and backward pass in which what the graph keeps may be written into.

    torch (2.7 to 2.15) knows what it keeps by identity, address and version. What was written over
    is copied and may be gone, so that a new tensor comes to all three, and then that copy would be
    kept in its place: a wrong gradient, now and then. Here what was copied is not looked up again.
    """
    with torch.autograd.graph.allow_mutation_on_saved_tensors() as context:
        context.cloned = _Copies(context.tid_to_weakhandle)
        yield


class _Copies(WeakKeyDictionary):
    """The copies, by handle; a handle with a copy is taken out of those that are looked up."""

    def __init__(self, looked_up: MutableMapping[Any, Any]) -> None:
        super().__init__()
        self._looked_up = looked_up

    def __setitem__(self, handle: Any, copy: torch.Tensor) -> None:
        super().__setitem__(handle, copy)
        for key in [key for key, found in self._looked_up.items() if found is handle]:
            del self._looked_up[key]
