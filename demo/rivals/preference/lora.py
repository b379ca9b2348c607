"""The rival: a LoRA on the base's attention, trained by Diffusion-DPO on the same pairs.

ComfyUI's own Train LoRA node has losses of one picture only, so it cannot learn from pairs. Here
the low-rank matrices are parametrizations of the short forward's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ....training.settings.randomness import torch_generator
from ...sweep.short.forward import Short

RANK = 4
ATTENTION = ("attn.qkv", "attn.proj", "to_q", "to_k", "to_v", "to_out.0")
"""How the names of an attention's layers end, the SD3 base's and the U-Net's."""


class LowRank(nn.Module):
    """weight + scale · up @ down; scale 0 is the bare weight. It begins as the bare weight."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        down = torch.randn(rank, columns, generator=generator) * columns**-0.5
        self.down, self.up = nn.Parameter(down), nn.Parameter(torch.zeros(rows, rank))
        self.scale = 1.0

    def forward(self, weight: Tensor) -> Tensor:
        return weight if self.scale == 0.0 else weight + self.scale * (self.up @ self.down)


class Lora:
    """The matrices of one LoRA by the layers' names; they act only while `on` a model."""

    def __init__(self, layers: dict[str, LowRank]) -> None:
        self.layers = layers

    @classmethod
    def new(cls, model: Short, seed: int, rank: int = RANK) -> Lora:
        generator = torch_generator(seed, "lora")
        chosen = _attention(model)
        return cls({name: LowRank(one.weight, rank, generator) for name, one in chosen.items()})

    @classmethod
    def of(cls, model: Short, state: dict[str, Tensor]) -> Lora:
        """From what `state` gave."""
        made = cls.new(model, 0)
        for name, layer in made.layers.items():
            layer.load_state_dict({key: state[f"{name}.{key}"] for key in ("down", "up")})
        return made

    @property
    def state(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": tensor.detach().clone()
            for name, layer in self.layers.items()
            for key, tensor in layer.state_dict().items()
        }

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [each for layer in self.layers.values() for each in layer.parameters()]

    def scaled(self, scale: float) -> None:
        """How strongly it acts from now on."""
        for layer in self.layers.values():
            layer.scale = scale

    @contextmanager
    def on(self, model: Short, scale: float = 1.0) -> Iterator[None]:
        """Acts on the model within the block, and leaves it as it was."""
        self.scaled(scale)
        chosen = _attention(model)
        for name, layer in self.layers.items():
            parametrize.register_parametrization(chosen[name], "weight", layer)
        try:
            yield
        finally:
            for one in chosen.values():
                parametrize.remove_parametrizations(one, "weight", leave_parametrized=False)


def _attention(model: Short) -> dict[str, nn.Module]:
    return {
        name: module for name, module in model.network.named_modules() if name.endswith(ATTENTION)
    }
