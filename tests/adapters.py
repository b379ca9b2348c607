"""Adapters and adapter files of random numbers, made by the tests."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from comfyui_softrepa.softrepa.adapter import PLACEMENTS, Adapter


def random_adapter(
    architecture: str = "mmdit",
    width: int = 128,
    blocks: int = 2,
    tokens: int = 4,
    banks: int = 1,
    timed: bool = True,
    offset_width: int | None = None,
    seed: int = 0,
    scale: float = 0.5,
    placement: str | None = None,
) -> Adapter:
    """An adapter of these shapes; a U-Net's is shared over its input blocks where blocks is 1."""
    generator = torch.Generator().manual_seed(seed)
    shape = (banks, blocks, tokens, width)
    offsets = (1, 100, blocks, offset_width or width)
    shared = architecture == "unet" and blocks == 1
    return Adapter(
        tokens=torch.randn(shape, generator=generator) * scale,
        offsets=torch.randn(offsets, generator=generator) * scale if timed else None,
        architecture=architecture,
        placement=placement or PLACEMENTS[architecture][0],
        layers=("input",) if shared else tuple(map(str, range(blocks))),
    )


def save_reference(folder: Path, tokens: torch.Tensor, offsets: torch.Tensor | None) -> Path:
    """The authors' two files: a Parameter, and a whole pickled Embedding beside it."""
    torch.save(torch.nn.Parameter(tokens), folder / "dc_tokens.pth")
    if offsets is not None:
        embedding = torch.nn.Embedding(*offsets.shape)
        embedding.weight = torch.nn.Parameter(offsets)
        torch.save(embedding, folder / "dc_t_tokens.pth")
    return folder / "dc_tokens.pth"


def hooked_embedding(offsets: torch.Tensor) -> torch.nn.Embedding:
    """An Embedding that carries something beside its weight."""
    embedding = torch.nn.Embedding.from_pretrained(offsets)
    embedding._forward_hooks = OrderedDict({0: set()})
    embedding._forward_hooks[0].add("anything")
    return embedding
