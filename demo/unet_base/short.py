"""The U-Net base by its short forward: live channels only, padding counted, bfloat16.

tests/demo/test_unet_base.py holds it against ComfyUI.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...softrepa.adapter import Adapter
from ...softrepa.layers import choose_layers, parse_layers
from ...softrepa.tokens import soft_tokens
from ..sweep.short import Short
from . import join, network, train, vae

PERTURBED = ("middle.0",)
"""Where ComfyUI's perturbed-attention guidance acts."""


@dataclass(frozen=True, eq=False)
class Unet(Short):
    """The U-Net base."""

    FAMILY: ClassVar[str] = "SD1.x"
    ARCHITECTURE: ClassVar[str] = "unet"
    WIDTH: ClassVar[int] = train.clip.WIDTH
    CHANNELS: ClassVar[int] = network.CHANNELS

    @classmethod
    def load(
        cls,
        unet: Path = join.UNET,
        autoencoder: Path = join.VAE,
        precision: torch.dtype = torch.bfloat16,
    ) -> Unet:
        """Needs ComfyUI attached."""
        made = network.UNet()
        made.load_state_dict({key: value.float() for key, value in load_file(unet).items()})
        return cls(
            made.to(memory_format=torch.channels_last).requires_grad_(False),
            vae.model(autoencoder).requires_grad_(False),
            train.Prompts.load(),
            precision,
        )

    @cached_property
    def sigmas(self) -> Tensor:
        """SD1.x's."""
        return train.sigmas()

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
    ) -> Tensor:
        """The noise."""
        timestep = torch.full((len(x),), float((self.sigmas - sigma).abs().argmin()))
        tokens = blocks = None
        if adapter is not None:
            one = (timestep[:1], 0) if bank is None else (timestep, bank)
            tokens = soft_tokens(adapter, *one)[:, 0]
            blocks = frozenset(choose_layers(parse_layers(",".join(adapter.layers)), BLOCKS))
        perturbed = PERTURBED if weakened else ()
        text = network.Text(*texts, tokens, blocks, strength, weight, perturbed)
        scaled = x * (1 + sigma**2) ** -0.5
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            return self.network(scaled, timestep, text).float()

    def signal(self, sigma: float) -> float:
        """All: SD1.x's latents grow with their noise."""
        return 1.0

    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """Noise, with the spread of the latents it stands for."""
        return noise * (1 + sigma**2) ** 0.5

    def noised(self, latents: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The noise on top; the noise itself."""
        noise = noise.expand_as(latents)
        return latents + sigma * noise, noise


BLOCKS = ("input.1", "input.3", "middle.0", "output.1", "output.2")
"""Where the network attends to the text."""
