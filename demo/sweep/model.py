"""The base model by its short forward: what ComfyUI computes with it, in a twentieth of the time.

The forward counts the padding behind a prompt instead of computing it, and runs in bfloat16;
noise, schedule and guidance are ComfyUI's. tests/demo/test_sweep.py holds the two against each
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from ...evaluation.trial import Sampling
from ...softrepa.adapter import Adapter
from ...softrepa.tokens import soft_tokens
from .. import world
from ..base import join, network, train, vae
from ..evaluate import LATENT, sampling

LEVELS = 1000
BATCH = 125


@dataclass(frozen=True, eq=False)
class Model:
    """The base's network and autoencoder, float32 and frozen, and its prompts."""

    network: Any
    autoencoder: nn.ModuleDict
    prompts: train.Prompts
    precision: torch.dtype = torch.bfloat16

    @classmethod
    def load(cls, mmdit: Path = join.MMDIT, precision: torch.dtype = torch.bfloat16) -> Model:
        """Needs ComfyUI attached."""
        made = network.build()
        made.load_state_dict({key: value.float() for key, value in load_file(mmdit).items()})
        autoencoder = nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
        weights = load_file(join.VAE)
        autoencoder.load_state_dict({key: value.float() for key, value in weights.items()})
        return cls(
            made.requires_grad_(False),
            autoencoder.requires_grad_(False),
            train.Prompts.load(),
            precision,
        )

    @cached_property
    def sigmas(self) -> Tensor:
        """(1000,): the noise level of each entry of SD3's schedule, shifted by 3."""
        entries = torch.arange(1, LEVELS + 1) / LEVELS
        return train.SHIFT * entries / (1 + (train.SHIFT - 1) * entries)

    def predict(
        self,
        x: Tensor,
        sigma: float,
        texts: tuple[Tensor, Tensor],
        adapter: Adapter | None = None,
        bank: Tensor | None = None,
        strength: float = 1.0,
        weight: float = 1.0,
    ) -> Tensor:
        """The velocity, (B, 16, 8, 8) float32; `texts` as `Prompts.encode` gives them.

        bank: (B,), which of the adapter's banks each sample gets; None for psi+. weight: how often
        a soft token counts in attention.
        """
        timestep = torch.full((len(x),), sigma * LEVELS)
        tokens = {}
        if adapter is not None:
            banks = torch.zeros(len(x), dtype=torch.int64) if bank is None else bank
            rows = soft_tokens(adapter, timestep, banks)
            tokens = {int(name): rows[:, row] for row, name in enumerate(adapter.layers)}
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            out = network.velocity(self.network, x, timestep, *texts, tokens, strength, weight)
        return out.float()

    def latents(self, scenes: Sequence[world.Scene], seed: int) -> Tensor:
        """The scenes drawn and encoded: (N, 16, 8, 8)."""
        rng = np.random.default_rng(seed)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(scenes), BATCH):
                drawn = [np.asarray(world.render(s, rng)) for s in scenes[start : start + BATCH]]
                pixels = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
                parts.append(self.autoencoder["encoder"](pixels))
        return torch.cat(parts).clone()

    @torch.inference_mode()
    def paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        adapter: Adapter | None = None,
        settings: Sampling | None = None,
        strength: float = 1.0,
        strength_as: str = "blend",
    ) -> NDArray[np.uint8]:
        """As `evaluate.paint`, with Euler and the simple scheduler: (N, 64, 64, 3).

        strength, strength_as: the Apply node's.
        """
        settings = settings or sampling()
        how = {"weight" if strength_as == "attention" else "strength": strength}
        parts = [slice(at, at + BATCH) for at in range(0, len(prompts), BATCH)]
        painted = [
            self._paint(prompts[part], seeds[part], adapter, settings, how) for part in parts
        ]
        return np.concatenate(painted)

    def _paint(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        adapter: Adapter | None,
        settings: Sampling,
        how: Mapping[str, float],
    ) -> NDArray[np.uint8]:
        count = len(prompts)
        texts = self.prompts.encode([*prompts, *[""] * count])
        steps = self._schedule(settings.steps)
        noise = [torch.randn(LATENT, generator=torch.manual_seed(seed)) for seed in seeds]
        x = torch.cat(noise) * steps[0]
        for sigma, following in pairwise(steps):
            both = self.predict(torch.cat((x, x)), sigma, texts, adapter, **how)
            told, untold = both.split(count)
            x = x + (following - sigma) * (untold + settings.guidance * (told - untold))
        pixels = 255.0 * self.autoencoder["decoder"](x).permute(0, 2, 3, 1).numpy()
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def _schedule(self, steps: int) -> list[float]:
        """ComfyUI's simple scheduler: evenly spaced entries, then 0."""
        entries = [-(1 + int(step * LEVELS / steps)) for step in range(steps)]
        return [*self.sigmas[entries].tolist(), 0.0]
