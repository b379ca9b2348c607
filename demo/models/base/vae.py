"""The demo world's autoencoder: TAESD's layout with narrow layers, trained on this machine.

Run as ``python demo/models/base vae``. Every ReLU layer is narrower than
TAESD's 64 channels; `widened` puts the weights among zeros, which computes exactly the same.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from ....training.cache.progress import progress
from ... import world

CHANNELS = 16
WIDTH = 64
"""Channels of TAESD's layers."""
WIDTHS = (16, 16, 32, 48)
"""Ours, at 1, 1/2, 1/4 and 1/8 of the picture's side."""
STEPS = 4000
BATCH = 32
PICTURES = 16_000
LATENT_NOISE = 0.1
"""Noise on latents in training, so that the decoder forgives what sampling leaves."""


class Block(nn.Module):
    """TAESD's residual block: three 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(3):
            layers += [_conv(width, width)] + ([nn.ReLU()] if index < 2 else [])
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    """TAESD's soft limit of latents to -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return torch.tanh(x / 3) * 3


def encoder() -> nn.Sequential:
    """Pictures (B, 3, 64, 64) in 0..1 to latents (B, 16, 8, 8), about unit variance."""
    layers: list[nn.Module] = [_conv(3, WIDTHS[0]), Block(WIDTHS[0])]
    for wide, narrow in pairwise(WIDTHS):
        layers += [_conv(wide, narrow, stride=2, bias=False)]
        layers += [Block(narrow) for _ in range(3)]
    return nn.Sequential(*layers, _conv(WIDTHS[-1], CHANNELS))


def decoder() -> nn.Sequential:
    """Latents (B, 16, 8, 8) to pictures (B, 3, 64, 64), 0..1 but for small excess."""
    layers: list[nn.Module] = [Clamp(), _conv(CHANNELS, WIDTHS[-1]), nn.ReLU()]
    for narrow, wide in pairwise(reversed(WIDTHS)):
        layers += [Block(narrow) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), _conv(narrow, wide, bias=False)]
    return nn.Sequential(*layers, Block(WIDTHS[0]), _conv(WIDTHS[0], 3))


def widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of narrow layers as TAESD's 64-channel ones: the same function, zeros around.

    `state` holds ``encoder.*`` and ``decoder.*``; the result ``taesd_encoder.*`` and
    ``taesd_decoder.*``.
    """
    ends = {"encoder.0.weight": 3, "decoder.1.weight": state["decoder.1.weight"].shape[1]}
    last = {"encoder": 14, "decoder": 19}
    wide = {}
    for key, value in state.items():
        part, index, *_ = key.split(".")
        outputs = value.shape[0] if int(index) == last[part] else WIDTH
        shape = (outputs,)
        if value.ndim == 4:
            shape = (outputs, ends.get(key, WIDTH), *value.shape[2:])
        target = torch.zeros(shape, dtype=value.dtype)
        target[tuple(slice(0, side) for side in value.shape)] = value
        wide[f"taesd_{key}"] = target
    return wide


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """`count` rendered training scenes, (count, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    scenes = (world.sample_scene(rng) for _ in range(count))
    return np.stack([np.asarray(world.render(scene, rng)) for scene in scenes])


def train(steps: int, seed: int) -> dict[str, Tensor]:
    """Train from nothing; returns ``encoder.*`` and ``decoder.*`` in float32."""
    torch.manual_seed(seed)
    data = torch.from_numpy(pictures(PICTURES, seed)).permute(0, 3, 1, 2)
    model = nn.ModuleDict({"encoder": encoder(), "decoder": decoder()})
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    bar = progress(range(steps), label="autoencoder", unit="step")
    for step in bar:
        batch = data[torch.randint(len(data), (BATCH,))].float() / 255
        batch = batch.contiguous(memory_format=torch.channels_last)
        # Half precision until the finish, where the last bits of colour are won.
        with torch.autocast("cpu", torch.bfloat16, enabled=step < 0.9 * steps):
            latents = model["encoder"](batch)
            noisy = latents + LATENT_NOISE * torch.randn_like(latents)
            output = model["decoder"](noisy)
        error = (output.float() - batch).square().mean() + 0.2 * (
            output.float() - batch
        ).abs().mean()
        mean = latents.float().mean(dim=(0, 2, 3))
        spread = latents.float().std(dim=(0, 2, 3))
        loss = error + 0.01 * (mean.square() + (spread - 1).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix_str(f"error {error.item():.4f}, spread {spread.mean().item():.2f}")
    return {key: value.detach().contiguous() for key, value in model.state_dict().items()}


def _conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride, bias=bias)


def main(arguments: list[str] | None = None) -> None:
    """Train and write ``vae.safetensors`` beside this file, half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("vae.safetensors"))
    options = parser.parse_args(arguments)
    state = train(options.steps, options.seed)
    save_file({key: value.half() for key, value in state.items()}, options.output)
