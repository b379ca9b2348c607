"""What an adapter file holds, as JSON for the front-end."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...softrepa.families import describe
from ..adapters import adapter_files
from ..adapters.adapter_files import ARCHITECTURES
from .listed import FileTooLarge

LARGEST_FILE = 256 << 20
"""Bytes; the largest adapter known has 13 MB."""
_LONGEST_TEXT = 200
_SAID = {
    "title": ("modelspec.title", "ss_output_name"),
    "author": ("modelspec.author",),
    "date": ("modelspec.date",),
    "objective": ("softrepa.objective",),
    "base_model": ("softrepa.base_model", "ss_sd_model_name"),
    "steps": ("softrepa.steps", "ss_steps"),
    "pairs": ("softrepa.pairs",),
    "strength": ("softrepa.strength",),
    "strength_as": ("softrepa.strength_as",),
}
"""Fact -> metadata entries that state it; the first one there counts."""
_SD_BLOCKS = (
    *(f"input.{index}" for index in (1, 2, 4, 5, 7, 8)),
    "middle.0",
    *(f"output.{index}" for index in range(3, 12)),
)
_SDXL_BLOCKS = (
    *(f"input.{index}" for index in (4, 5, 7, 8)),
    "middle.0",
    *(f"output.{index}" for index in range(6)),
)
_UNET_BLOCKS = {768: _SD_BLOCKS, 1024: _SD_BLOCKS, 2048: _SDXL_BLOCKS}
"""Blocks with cross-attention of the published models, by the width of their context."""


def adapter_facts(name: str, architecture: str = ARCHITECTURES[0]) -> dict[str, Any]:
    """The adapter of this listed name, in numbers, names and short texts.

    architecture: as Load SoftREPA Adapter takes it.

    Raises FileNotFoundError where it is not listed, FileTooLarge, AdapterError.
    """
    path = adapter_files.path_of(name)
    state = adapter_files.state(path)
    if sum(size for _, _, size, _ in state) > LARGEST_FILE:
        raise FileTooLarge(f"{path.name} is larger than any adapter, so it is not read here.")
    facts = _facts(path, state, adapter_files.stated(architecture))
    return {"name": name, "sha256": adapter_files.sha256(path), **facts}


@functools.lru_cache(maxsize=64)
def _facts(
    path: Path, state: tuple[tuple[str, int, int, int], ...], architecture: str | None
) -> dict[str, Any]:
    """state: that of the files, so that one that changed is read again."""
    adapter = files.read(path, architecture)
    return {
        "architecture": adapter.architecture,
        "width": adapter.width,
        "family": describe(adapter.architecture, adapter.width),
        "offset_width": adapter.offset_width if adapter.offsets is not None else None,
        "layers": list(adapter.layers),
        "shared": adapter.shared,
        "blocks": list(_UNET_BLOCKS.get(adapter.width, ())) if adapter.shared else None,
        "depth": adapter.blocks,
        "tokens_per_block": adapter.tokens_per_block,
        "placement": adapter.placement,
        "banks": adapter.banks,
        "buckets": adapter.buckets,
        "parameters": adapter.parameters,
        "said": _said(adapter),
    }


def _said(adapter: Adapter) -> dict[str, str]:
    """What the file states about itself; only words that fit a line."""
    found = {}
    for fact, keys in _SAID.items():
        text = next((adapter.metadata[key] for key in keys if adapter.metadata.get(key)), "")
        text = " ".join(text.split())
        if text:
            found[fact] = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return found
