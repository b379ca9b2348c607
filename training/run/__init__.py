"""One run, from its flags to its adapter."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`run` and `default_cache`; only when asked for, since they import ComfyUI."""
    if name not in ("default_cache", "run"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import start

    return getattr(start, name)
