"""The Flux base by its short forward. tests/demo/test_flux_base.py holds it against ComfyUI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ...evaluation.trial import Sampling
from ...softrepa.adapter import Adapter
from ..evaluate import sampling
from ..sweep.model import Model
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

    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        adapter: Adapter | None = None,
        settings: Sampling | None = None,
        *how: Any,
        **named: Any,
    ) -> NDArray[np.uint8]:
        """As the SD3 base, at the guidance that is best here unless others are given."""
        settings = settings or sampling(self.GUIDANCE)
        return super().paint(prompts, seeds, adapter, settings, *how, **named)
