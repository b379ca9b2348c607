"""The Flux base by its short forward. tests/demo/test_flux_base.py holds it against ComfyUI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...sweep.short.sd3 import Model
from . import network, train


class Flux(Model):
    """The Flux base, with tokens in its double blocks."""

    ARCHITECTURE: ClassVar[str] = "flux"
    WIDTH: ClassVar[int] = network.HIDDEN
    SHIFT: ClassVar[float] = 1.0
    """Flux.1 schnell's, for which ComfyUI takes it."""
    GUIDANCE: ClassVar[float] = 4.0
    """At which it paints best: see README.md."""
    VELOCITY: ClassVar[Callable[..., Tensor]] = staticmethod(network.velocity)

    @classmethod
    def load(cls, weights: Path = train.FLUX, precision: torch.dtype = torch.bfloat16) -> Flux:
        """Needs ComfyUI attached."""
        made = network.build()
        network.fill(made, load_file(weights))
        return cls.of(made, train.Prompts.load(), precision)
