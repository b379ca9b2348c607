"""Train the U-Net base on the captions of the SD3 base: true ones first, then of two kinds.

Noise prediction on SD1.x's schedule. A run that was stopped goes on from its state; `--true-steps`
may then say that the first stage has gone on for long enough.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ....training.cache.progress import progress
from ... import world
from ..base import clip
from ..base import train as sd3
from . import vae
from .network import Text, UNet

LEVELS = 1000
PICTURES = 12_000
BATCH = 64
TRUE_STEPS, MIXED_STEPS = 1800, 1400
FALL = 0.5
"""Share of the second stage in which the rate falls to nothing in a line."""
RATE = 1.5e-3
WARMUP = 100
AVERAGE = 0.998
HEAVIEST = 16.0
SAVE_EVERY = 50


def sigmas() -> Tensor:
    """(1000,): SD1.x's noise levels, of latents of unit variance, by timestep."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, LEVELS, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, dim=0)
    return ((1 - kept) / kept).sqrt().float()


@dataclass
class Prompts:
    """Texts to what `network.Text` takes: SD1.x's CLIP-L, whose last layer norm is applied."""

    vocabulary: clip.Vocabulary
    tokens: Tensor
    places: Tensor

    @classmethod
    def load(cls) -> Prompts:
        """Needs ComfyUI attached, for its tokenizer."""
        prompts = sd3.Prompts.load()
        return cls(prompts.vocabulary, prompts.tokens, prompts.places)

    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Rows (U, 768) and index (B, R), as `Vocabulary.ids` has them."""
        ids = self.vocabulary.ids(texts)
        count = ids.shape[1]
        one, index = torch.unique(ids * count + torch.arange(count), return_inverse=True)
        word, place = one // count, one % count
        return F.layer_norm(self.tokens[word] + self.places[place], (clip.WIDTH,)), index

    def first(self) -> Tensor:
        """The embedding of every prompt's first token, (768,)."""
        rows, index = self.encode([""])
        return rows[index[0, 0]]


def latents(count: int, seed: int, weights: Path) -> tuple[Tensor, list[world.Scene]]:
    """`count` training scenes drawn and encoded: (count, 4, 8, 8) bfloat16, and the scenes."""
    encoder = vae.model(weights)["encoder"]
    rng, hand = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    scenes, encoded = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for _ in progress(range(count // 100), label="latents", unit="batch"):
            batch = [world.sample_scene(rng) for _ in range(100)]
            drawn = np.stack([np.asarray(world.render(scene, hand)) for scene in batch])
            pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
            encoded.append(encoder(pixels).bfloat16())
            scenes += batch
    return torch.cat(encoded).clone(), scenes


def kept_latents(options: Any) -> tuple[Tensor, list[world.Scene]]:
    """`latents`, drawn once and kept beside the state."""
    file = options.state.with_suffix(".latents.pt")
    rng = np.random.default_rng(options.seed)
    if not file.is_file():
        images, scenes = latents(options.pictures, options.seed, options.vae)
        torch.save(images, file)
        return images, scenes
    images, scenes = torch.load(file, weights_only=True), []
    for _ in range(len(images)):
        scenes.append(world.sample_scene(rng))
    return images, scenes


def timesteps(count: int, levels: Tensor) -> Tensor:
    """A third uniform in 0 ... 999; the others where a picture is decided, about sigma 2."""
    wanted = torch.exp(np.log(2.0) + 0.9 * torch.randn(count))
    chosen = torch.searchsorted(levels, wanted).clamp(max=LEVELS - 1)
    return torch.where(torch.rand(count) < 1 / 3, torch.randint(LEVELS, (count,)), chosen)


class Run:
    """A training with all of its state, which `save` keeps and `load` takes up again."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = UNet().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        matrices = [
            parameter
            for name, parameter in self.model.named_parameters()
            if "transformer_blocks" in name and parameter.ndim == 2
        ]
        own = {id(parameter) for parameter in matrices}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in own]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=RATE, weight_decay=0.0, betas=(0.9, 0.99)),
        ]
        self.step = 0
        self.started_second: int | None = None

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [one.state_dict() for one in self.optimisers],
            "step": self.step,
            "started_second": self.started_second,
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for one, kept in zip(self.optimisers, state["optimisers"], strict=True):
            one.load_state_dict(kept)
        self.step, self.started_second = state["step"], state["started_second"]

    def learn(self, x: Tensor, texts: tuple[Tensor, Tensor], levels: Tensor, rate: float) -> float:
        """One step; returns the loss."""
        timestep, noise = timesteps(len(x), levels), torch.randn_like(x)
        sigma = levels[timestep][:, None, None, None]
        mixed = (x + sigma * noise) / (1 + sigma.square()).sqrt()
        mixed = mixed.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = self.model(mixed, timestep, Text(*texts))
        # As if the velocity were predicted, or the coarse would hardly count.
        weight = (1 + sigma.square()).clamp(max=HEAVIEST)
        loss = (weight * (output.float() - noise).square()).mean()
        for one in self.optimisers:
            one.zero_grad()
            for group in one.param_groups:
                group["lr"] = RATE * rate
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for one in self.optimisers:
            one.step()
        with torch.no_grad():
            # Early weights are forgotten fast, or a short run would average its start in.
            share = 1 - min(AVERAGE, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.model.parameters()), share
            )
        self.step += 1
        return loss.item()


def train(options: Any) -> dict[str, Tensor]:
    """Both stages, from the state file where there is one, or as far as `minutes` reach; the
    averaged weights, float32."""
    run, levels, prompts = Run(options.seed), sigmas(), Prompts.load()
    if options.state.is_file():
        run.load(options.state)
    images, scenes = kept_latents(options)
    rng = np.random.default_rng([options.seed, run.step])
    torch.manual_seed(options.seed + run.step)
    if run.started_second is None and run.step >= options.true_steps:
        run.started_second = run.step
    second = run.started_second
    last = (options.true_steps if second is None else second) + options.mixed_steps
    smooth, end = 0.0, time.monotonic() + 60 * options.minutes
    bar = progress(range(run.step, last), label="U-Net", unit="step")
    for done, step in enumerate(bar):
        if run.started_second is None and step >= options.true_steps:
            run.started_second = step
        careful = 1.0 if run.started_second is None else sd3.CAREFUL
        chosen = rng.integers(len(scenes), size=BATCH)
        captions = [
            sd3.caption_of(scenes[index], careful, rng, options.redrawn) for index in chosen
        ]
        texts = prompts.encode(captions)
        rate = min(1.0, (step + 1) / WARMUP, (last - step) / (FALL * options.mixed_steps))
        loss = run.learn(images[torch.from_numpy(chosen)].float(), texts, levels, rate)
        smooth += (loss - smooth) * max(0.01, 1 / (done + 1))
        bar.set_postfix_str(f"loss {smooth:.4f}", refresh=False)
        stopped = time.monotonic() > end
        if stopped or run.step % SAVE_EVERY == 0:
            run.save(options.state)
        if stopped:
            break
    run.save(options.state)
    return dict(run.average.state_dict())


def keep(weights: dict[str, Tensor], output: Path) -> None:
    """Write the live channels, half precision."""
    save_file({key: value.half().contiguous() for key, value in weights.items()}, output)
