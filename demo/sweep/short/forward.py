"""A base model by its short forward: what ComfyUI computes with it, in a twentieth of the time.

What the two bases share: noise, schedule and guidance are ComfyUI's, and a base says what its
network predicts. One file a base: `sd3.Model`, and beside their networks `unet_base.short.Unet` and
`flux_base.short.Flux`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....evaluation.trial import Sampling
from ....softrepa.adapter import Adapter
from ... import world
from ...evaluation.evaluate import sampling

LEVELS = 1000
BATCH = 125


@dataclass(frozen=True, eq=False)
class Short(ABC):
    """A base's network and autoencoder, float32 and frozen, and its prompts.

    FAMILY: the row of `training.settings.families`. ARCHITECTURE, WIDTH: of its adapters.
    CHANNELS: of a latent. GUIDANCE: at which it paints best.
    """

    FAMILY: ClassVar[str]
    ARCHITECTURE: ClassVar[str]
    WIDTH: ClassVar[int]
    CHANNELS: ClassVar[int]
    GUIDANCE: ClassVar[float] = 4.0

    network: Any
    autoencoder: nn.ModuleDict
    prompts: Any
    precision: torch.dtype = torch.bfloat16

    @property
    @abstractmethod
    def sigmas(self) -> Tensor:
        """(1000,): the noise level of each entry of the model's schedule."""

    @abstractmethod
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
        """The noise or the velocity, (B, C, 8, 8) float32; `texts` as `prompts.encode` gives them.

        bank: (B,), which of the adapter's banks each sample gets; None for psi+. weight: how often
        a soft token counts in attention. weakened: by the worse half of perturbed-attention or
        skip-layer guidance, whichever the architecture has. beneath: an adapter that an earlier
        Apply node put there, in full.
        """

    @abstractmethod
    def signal(self, sigma: float) -> float:
        """How much of the latents is left at a noise level."""

    @abstractmethod
    def start(self, noise: Tensor, sigma: float) -> Tensor:
        """What sampling begins with at the highest level."""

    @abstractmethod
    def noised(self, latents: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Latents at a noise level, and what is to be predicted there."""

    def denoised(self, x: Tensor, sigma: float, prediction: Tensor) -> Tensor:
        """The latents without noise, as the network's output has them: one rule for both."""
        return x - sigma * prediction

    def latents(self, scenes: Sequence[world.Scene], seed: int) -> Tensor:
        """The scenes drawn and encoded: (N, C, 8, 8)."""
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
        sampler: Sampler | None = None,
        beneath: Adapter | None = None,
    ) -> NDArray[np.uint8]:
        """As `evaluate.paint`, with the simple scheduler: (N, 64, 64, 3).

        settings: with the base's GUIDANCE unless given. strength, strength_as: the Apply node's.
        sampler: Euler with ordinary guidance unless given. beneath: as `predict` takes it.
        """
        settings, sampler = settings or sampling(self.GUIDANCE), sampler or euler
        told = {**used(adapter, strength, strength_as), "beneath": beneath}
        painted = []
        for at in range(0, len(prompts), BATCH):
            part = slice(at, at + BATCH)
            x = self._begin(seeds[part], settings)
            painted.append(sampler(self, x, prompts[part], settings, told))
        return np.concatenate([self.pictures(x) for x in painted])

    def pictures(self, x: Tensor) -> NDArray[np.uint8]:
        """(N, C, 8, 8) to (N, 64, 64, 3)."""
        pixels = 255.0 * self.autoencoder["decoder"](x).permute(0, 2, 3, 1).numpy()
        return np.clip(pixels, 0, 255).astype(np.uint8)

    def schedule(self, steps: int) -> list[float]:
        """ComfyUI's simple scheduler: evenly spaced entries, then 0."""
        entries = [-(1 + int(step * LEVELS / steps)) for step in range(steps)]
        return [*self.sigmas[entries].tolist(), 0.0]

    def _begin(self, seeds: Sequence[int], settings: Sampling) -> Tensor:
        shape = (1, self.CHANNELS, world.SIZE // 8, world.SIZE // 8)
        noise = [torch.randn(shape, generator=torch.manual_seed(seed)) for seed in seeds]
        return self.start(torch.cat(noise), self.schedule(settings.steps)[0])


Sampler = Callable[[Short, Tensor, Sequence[str], Sampling, Mapping[str, Any]], Tensor]
"""From what sampling begins with to latents: model, x, prompts, settings, `predict`'s options."""


def used(adapter: Adapter | None, strength: float, strength_as: str = "blend") -> dict[str, Any]:
    """`predict`'s options for an Apply node's inputs."""
    return {"adapter": adapter, "weight" if strength_as == "attention" else "strength": strength}


def apart(
    negative: Mapping[str, Any],
    model: Short,
    x: Tensor,
    prompts: Sequence[str],
    settings: Sampling,
    told: Mapping[str, Any],
) -> Tensor:
    """`euler` with other options of `predict` for the empty prompt: two Apply to Conditioning."""
    texts, empty = (model.prompts.encode(each) for each in ([*prompts], [""] * len(prompts)))

    def branches(x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        asked = model.predict(x, sigma, texts, **told)
        return asked, model.predict(x, sigma, empty, **negative)

    return _guided(model, x, settings, branches)


def euler(
    model: Short, x: Tensor, prompts: Sequence[str], settings: Sampling, told: Mapping[str, Any]
) -> Tensor:
    """ComfyUI's euler with ordinary guidance."""
    texts = model.prompts.encode([*prompts, *[""] * len(prompts)])

    def branches(x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        return model.predict(torch.cat((x, x)), sigma, texts, **told).split(len(prompts))

    return _guided(model, x, settings, branches)


def _guided(
    model: Short,
    x: Tensor,
    settings: Sampling,
    branches: Callable[[Tensor, float], tuple[Tensor, ...]],
) -> Tensor:
    """Euler's steps; branches: of (x, sigma), what is predicted for the prompts and for empty."""
    for sigma, following in pairwise(model.schedule(settings.steps)):
        asked, unasked = branches(x, sigma)
        x = x + (following - sigma) * (unasked + settings.guidance * (asked - unasked))
    return x
