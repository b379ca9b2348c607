"""A row of the table of scorers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .scorer import Scorer


@dataclass(frozen=True)
class Weights:
    """What a scorer has to be given.

    names: what its file or folder is usually called; the first that is there is taken. source: the
    repository on the Hugging Face hub. size: in words. file: what is wanted of that repository;
    None for all of it. folders: ComfyUI's own model folders that are searched after
    `softrepa_scorers`, by their names there. besides: a sentence on what else serves or is needed.
    """

    names: tuple[str, ...]
    source: str
    size: str
    file: str | None = None
    folders: tuple[str, ...] = ()
    besides: str = ""


@dataclass(frozen=True)
class Kind:
    """A scorer that can be loaded. `load` is given where its weights lie; None where it has none.

    comfyui: whether loading needs ComfyUI to be importable.
    """

    name: str
    unit: str
    load: Callable[[Path | None], Scorer]
    weights: Weights | None = None
    comfyui: bool = True
