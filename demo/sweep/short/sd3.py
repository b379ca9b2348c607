"""The SD3 base by its short forward.

It counts the padding behind a prompt instead of computing it, and runs in bfloat16.
tests/demo/test_sweep.py holds it against ComfyUI.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ....softrepa.adapter import Adapter
from ....softrepa.tokens import soft_tokens
from ...models.base import join, network, train, vae
from .forward import LEVELS, Short

SKIPPED = 1
"""The block that skip-layer guidance leaves out; ComfyUI's node does it for any."""


@dataclass(frozen=True, eq=False)
class Model(Short):
    """The SD3 base."""

    FAMILY: ClassVar[str] = "SD3"
    ARCHITECTURE: ClassVar[str] = "mmdit"
    WIDTH: ClassVar[int] = 64 * network.DEPTH
    CHANNELS: ClassVar[int] = network.CHANNELS
    SHIFT: ClassVar[float] = train.SHIFT
    VELOCITY: ClassVar[Callable[..., Tensor]] = staticmethod(network.velocity)

    @classmethod
    def load(cls, mmdit: Path = join.MMDIT, precision: torch.dtype = torch.bfloat16) -> Model:
        """Needs ComfyUI attached."""
        made = network.build()
        made.load_state_dict({key: value.float() for key, value in load_file(mmdit).items()})
        return cls.of(made, train.Prompts.load(), precision)

    @classmethod
    def of(cls, made: Any, prompts: train.Prompts, precision: torch.dtype) -> Model:
        """With the demo's autoencoder of 16 channels."""
        autoencoder = nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
        weights = load_file(join.VAE)
        autoencoder.load_state_dict({key: value.float() for key, value in weights.items()})
        return cls(
            made.requires_grad_(False), autoencoder.requires_grad_(False), prompts, precision
        )

    @cached_property
    def sigmas(self) -> Tensor:
        """Shifted."""
        entries = torch.arange(1, LEVELS + 1) / LEVELS
        return self.SHIFT * entries / (1 + (self.SHIFT - 1) * entries)

    def predict(
        self,
        x: Tensor,
        sigma: float,
        texts: tuple[Tensor, Tensor],
        adapter: Adapter | None = None,
        bank: Tensor | None = None,
        strength: float = 1.0,
        weight: float = 1.0,
        weakened: bool = False,
        beneath: Adapter | None = None,
    ) -> Tensor:
        """The velocity."""
        skipped = SKIPPED if weakened else None
        return self._run(x, sigma, texts, adapter, bank, beneath, strength, weight, skipped)

    def maps(
        self,
        x: Tensor,
        sigma: float,
        texts: tuple[Tensor, Tensor],
        adapter: Adapter | None = None,
        strength: float = 1.0,
        weight: float = 1.0,
        beneath: Adapter | None = None,
    ) -> Tensor:
        """(B, 4, 4, R) float32, differentiable: how much of its attention each patch
        gives to each row of the text, over heads and blocks."""
        found: list[Tensor] = []
        self._run(x, sigma, texts, adapter, None, beneath, strength, weight, None, found)
        side = x.shape[-1] // network.PATCH
        return torch.stack(found).mean(0).unflatten(1, (-1, side))

    def _run(
        self,
        x: Tensor,
        sigma: float,
        texts: tuple[Tensor, Tensor],
        adapter: Adapter | None,
        bank: Tensor | None,
        beneath: Adapter | None,
        *how: Any,
    ) -> Tensor:
        timestep = torch.full((len(x),), sigma * LEVELS)
        banks = torch.zeros(len(x), dtype=torch.int64) if bank is None else bank
        tokens = {} if adapter is None else _by_block(adapter, timestep, banks)
        further = {}
        if beneath is not None:
            further["beneath"] = _by_block(beneath, timestep, torch.zeros_like(banks))
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            out = self.VELOCITY(self.network, x, timestep, *texts, tokens, *how, **further)
        return out.float()

    def signal(self, sigma: float) -> float:
        """A flow's."""
        return 1.0 - sigma

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """Noise alone."""
        return noise * sigma

    def noised(self, latents: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """On the straight line between the two; the velocity along it."""
        return torch.lerp(latents, noise.expand_as(latents), sigma), noise - latents


def _by_block(adapter: Adapter, timestep: Tensor, banks: Tensor) -> dict[int, Tensor]:
    """Each block's soft tokens, (B, K, W)."""
    rows = soft_tokens(adapter, timestep, banks)
    return {int(name): rows[:, row] for row, name in enumerate(adapter.layers)}
