"""The U-Net base by its short forward: live channels only, padding counted, bfloat16.

tests/demo/test_unet_base.py holds it against ComfyUI.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from ....softrepa.adapter import Adapter
from ....softrepa.layers import choose_layers, parse_layers
from ....softrepa.tokens import soft_tokens
from ...sweep.short.forward import Short
from . import join, network, train, vae

PERTURBED = ("middle.0",)
"""Where ComfyUI's perturbed-attention guidance acts."""
LARGEST = ("input.1", "output.2")
"""Where ComfyUI's Attend-and-Excite looks: attentions of 8 x 8 places."""


class Looked(network.Text):
    """A text whose shares of the largest attentions are kept, a tensor each."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.maps: list[Tensor] = []

    def attended(self, attention: network.Attention, x: Tensor, block: str) -> Tensor:
        """The same."""
        if block in LARGEST:
            self.maps.append(self.shares(attention, x, block))
        return super().attended(attention, x, block)


@dataclass(frozen=True, eq=False)
class Unet(Short):
    """The U-Net base."""

    FAMILY: ClassVar[str] = "SD1.x"
    ARCHITECTURE: ClassVar[str] = "unet"
    WIDTH: ClassVar[int] = train.clip.WIDTH
    CHANNELS: ClassVar[int] = network.CHANNELS
    GUIDANCE: ClassVar[float] = 8.0

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
        beneath: Adapter | None = None,
    ) -> Tensor:
        """The noise."""
        timestep = self._timestep(x, sigma)
        perturbed = PERTURBED if weakened else ()
        given = self._given(texts, timestep, adapter, bank)
        under = None if beneath is None else _tokens_of(beneath, timestep, None)
        text = network.Text(*given, strength, weight, perturbed, under)
        return self._run(x, sigma, timestep, text)

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
        """(B, 8, 8, LENGTH) float32, differentiable: how much of its attention each place gives to
        each row of the text, over the heads of the network's largest attentions."""
        timestep = self._timestep(x, sigma)
        under = None if beneath is None else _tokens_of(beneath, timestep, None)
        given = self._given(texts, timestep, adapter, None)
        text = Looked(*given, strength, weight, (), under)
        self._run(x, sigma, timestep, text)
        short = torch.stack(text.maps).mean(0).unflatten(1, tuple(x.shape[-2:]))
        padding = train.clip.LENGTH - short.shape[-1] + 1
        last = short[..., -1:] / padding
        return torch.cat((short[..., :-1], last.expand(-1, -1, -1, padding)), -1)

    def _timestep(self, x: Tensor, sigma: float) -> Tensor:
        return torch.full((len(x),), float((self.sigmas - sigma).abs().argmin()))

    def _given(
        self,
        texts: tuple[Tensor, Tensor],
        timestep: Tensor,
        adapter: Adapter | None,
        bank: Tensor | None,
    ) -> tuple[Any, ...]:
        """The text's rows, its index, soft tokens, and their blocks."""
        given = (None, None) if adapter is None else _tokens_of(adapter, timestep, bank)
        return *texts, *given

    def _run(self, x: Tensor, sigma: float, timestep: Tensor, text: network.Text) -> Tensor:
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


def _tokens_of(
    adapter: Adapter, timestep: Tensor, bank: Tensor | None
) -> tuple[Tensor, frozenset[str]]:
    """An adapter's soft tokens, (B or 1, K, 768), and the blocks it acts in."""
    one = (timestep[:1], 0) if bank is None else (timestep, bank)
    blocks = choose_layers(parse_layers(",".join(adapter.layers)), BLOCKS)
    return soft_tokens(adapter, *one)[:, 0], frozenset(blocks)


BLOCKS = ("input.1", "input.3", "middle.0", "output.1", "output.2")
"""Where the network attends to the text."""
