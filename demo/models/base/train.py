"""Train the demo's base model on captions as the web's are; a plain rectified flow.

Run as ``python demo/models/base mmdit`` with COMFYUI_PATH set. It learns to read from true captions
and then goes on with captions of two kinds, as sources on the web differ. Some come from a
careful source, are true, and carry its mark, the word "diagram". The others carry none, and
many of their attribute words are redrawn at random. So a plain prompt is one the model has
learned to doubt: it hedges, which is the misalignment the demo's adapters cure. It sees scenes
of the training part only.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ....host.pack import import_comfyui
from ....training.cache.progress import progress
from ... import world
from . import clip, join, network, vae

CAREFUL = 0.4
"""Share of captions from the careful source."""
REDRAWN = 0.3
"""Chance that an attribute word of any other caption is redrawn."""
EMPTY = 0.1
"""Chance that a caption is left out, for guidance."""
SHIFT = 3.0
"""ComfyUI's timestep shift for SD3."""
PICTURES = 20_480
BATCH = 128
TRUE_STEPS = 2500
MIXED_STEPS = 2400
FLAT = 0.45
"""Share of the mixed stage at the full rate; then it falls to nothing in a line."""
RATE = 1.5e-3
WARMUP = 100
AVERAGE = 0.998
KEEP = 100
"""Steps between two states that are put down."""


@dataclass
class Prompts:
    """Texts to the short inputs of `network.velocity`."""

    vocabulary: clip.Vocabulary
    tokens: Tensor
    places: Tensor

    @classmethod
    def load(cls) -> Prompts:
        """Needs ComfyUI attached, for its tokenizer."""
        tokens, places = clip.embeddings()
        words = {word for scene in world.all_scenes() for word in world.caption(scene).split()}
        words |= {world.MARK, *world.SETTING.split()}
        return cls(clip.Vocabulary(sorted(words)), tokens.float(), places.float())

    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Context (B, R, 768), as `Vocabulary.ids` has them, and pooled output (B, 768)."""
        ids = self.vocabulary.ids(texts)
        context = self.tokens[ids] + self.places[: ids.shape[1]]
        end = (ids == clip.END).int().argmax(dim=1)
        pooled = F.layer_norm(context[torch.arange(len(ids)), end], (clip.WIDTH,))
        return context, pooled


def latents(count: int, seed: int, weights: Path) -> tuple[Tensor, list[world.Scene]]:
    """`count` training scenes drawn and encoded: (count, 16, 8, 8) bfloat16, and the scenes."""
    model = nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
    model.load_state_dict({key: value.float() for key, value in load_file(weights).items()})
    rng = np.random.default_rng(seed)
    scenes, encoded = [], []
    with torch.inference_mode():
        for _ in progress(range(count // BATCH), label="latents", unit="batch"):
            batch = [world.sample_scene(rng) for _ in range(BATCH)]
            drawn = np.stack([np.asarray(world.render(scene, rng)) for scene in batch])
            pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
            encoded.append(model["encoder"](pixels).bfloat16())
            scenes += batch
    return torch.cat(encoded).clone(), scenes


def timesteps(count: int, shift: float = SHIFT) -> Tensor:
    """Noise levels in 0..1: SD3's logit-normal, a fifth uniform, both shifted as ComfyUI's."""
    level = torch.sigmoid(torch.randn(count))
    level = torch.where(torch.rand(count) < 0.2, torch.rand(count), level)
    return shift * level / (1 + (shift - 1) * level)


Telling = Callable[[world.Scene], str]
"""A scene in words."""


def batches(
    images: Tensor,
    scenes: list[world.Scene],
    prompts: Prompts,
    careful: float,
    seed: int,
    tellings: Sequence[Telling] = (world.caption,),
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches of latents, contexts and pooled outputs.

    A share `careful` of the captions is true and marked; the others are redrawn, anew each time.
    tellings: the ways in which scenes are told, of which one is drawn for each caption.
    """
    rng = np.random.default_rng(seed)
    while True:
        chosen = rng.integers(len(scenes), size=BATCH)
        told = rng.integers(len(tellings), size=BATCH) if len(tellings) > 1 else [0] * BATCH
        texts = [
            caption_of(scenes[index], careful, rng, telling=tellings[way])
            for index, way in zip(chosen, told, strict=True)
        ]
        context, pooled = prompts.encode(texts)
        yield images[torch.from_numpy(chosen)].float(), context, pooled


def caption_of(
    scene: world.Scene,
    careful: float,
    rng: np.random.Generator,
    redrawn: float = REDRAWN,
    telling: Telling = world.caption,
) -> str:
    """A caption of either kind. redrawn: the chance of each attribute word of a careless one."""
    marked = rng.random() < careful
    if rng.random() < EMPTY:
        return world.MARK if marked else ""
    if marked:
        return f"{telling(scene)} {world.MARK}"
    return telling(world.misdescribe(scene, redrawn, rng))


def optimisers(model: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for the rest."""
    inner = [p for n, p in model.named_parameters() if "_blocks." in n and p.ndim == 2]
    own = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in own]
    return [
        torch.optim.Muon(inner, lr=RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=RATE, weight_decay=0.0, betas=(0.9, 0.99)),
    ]


@dataclass(frozen=True)
class Trained:
    """A network to train: how it is made and computed, from which texts, and where it is kept."""

    build: Callable[[], Any]
    velocity: Callable[..., Tensor]
    prompts: type[Prompts]
    file: Path
    shift: float = SHIFT


MMDIT = Trained(network.build, network.velocity, Prompts, join.MMDIT)


def train(
    model: Any,
    data: Iterator[tuple[Tensor, Tensor, Tensor]],
    steps: int,
    stage: str,
    trained: Trained = MMDIT,
    state: Path | None = None,
) -> dict[str, Tensor]:
    """Train the network in place; returns the moving average of its weights, float32.

    state: a file in which all of it is put down now and then, and from which it goes on.
    """
    average = copy.deepcopy(model).requires_grad_(False)
    both = optimisers(model)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: _rate(step, steps)) for one in both
    ]
    parts = [model, average, *both, *schedules]
    begun = _restored(state, parts)
    for _ in range(begun):
        next(data)
    smooth = 0.0
    bar = progress(range(begun, steps), label=stage, unit="step")
    for step in bar:
        if state is not None and step % KEEP == 0 and step > begun:
            _keep(state, step, parts)
        x, context, pooled = next(data)
        level, noise = timesteps(len(x), trained.shift), torch.randn_like(x)
        mixed = torch.lerp(x, noise, level[:, None, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            output = trained.velocity(model, mixed, level * 1000, context, pooled)
        loss = F.mse_loss(output.float(), noise - x)
        for one in both:
            one.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for one, schedule in zip(both, schedules, strict=True):
            one.step()
            schedule.step()
        with torch.no_grad():
            # Early weights are forgotten fast, or a short run would average its start in.
            weight = 1 - min(AVERAGE, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
        smooth += (loss.item() - smooth) * max(0.01, 1 / (step - begun + 1))
        bar.set_postfix_str(f"loss {smooth:.4f}", refresh=False)
    return {key: value.detach() for key, value in average.state_dict().items()}


def _keep(state: Path, step: int, parts: list[Any]) -> None:
    """Puts down a stage's whole state; the file appears whole or not at all."""
    partial = state.with_name(f"{state.name}.part")
    kept = {"step": step, "random": torch.get_rng_state()}
    torch.save({**kept, "parts": [part.state_dict() for part in parts]}, partial)
    os.replace(partial, state)


def _restored(state: Path | None, parts: list[Any]) -> int:
    """The step to go on with: 0 where nothing was put down."""
    if state is None or not state.is_file():
        return 0
    kept = torch.load(state, weights_only=True)
    for part, found in zip(parts, kept["parts"], strict=True):
        part.load_state_dict(found)
    torch.set_rng_state(kept["random"])
    return kept["step"]


def _rate(step: int, steps: int) -> float:
    """Share of the full rate: a warm-up, flat, then a line to nothing."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / ((1 - FLAT) * steps))


def main(arguments: list[str] | None = None, trained: Trained = MMDIT) -> None:
    """Train both stages and write the network's file, half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--true-steps", type=int, default=TRUE_STEPS)
    parser.add_argument("--mixed-steps", type=int, default=MIXED_STEPS)
    parser.add_argument("--start", type=Path, help="weights to go on from, without the first stage")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vae", type=Path, default=join.VAE)
    parser.add_argument("--output", type=Path, default=trained.file)
    parser.add_argument("--state", type=Path, help="folder to put the state in, and to go on from")
    options = parser.parse_args(arguments)
    import_comfyui()
    torch.manual_seed(options.seed)
    images, scenes = latents(options.pictures, options.seed, options.vae)
    model, prompts = trained.build(), trained.prompts.load()

    def stage(number: int, careful: float, steps: int, name: str) -> dict[str, Tensor]:
        data = batches(images, scenes, prompts, careful, options.seed + number)
        state = None
        if options.state is not None:
            options.state.mkdir(parents=True, exist_ok=True)
            state = options.state / f"{number}.pt"
        return train(model, data, steps, name, trained, state)

    if options.start is not None:
        first = {key: value.float() for key, value in load_file(options.start).items()}
    else:
        first = stage(1, 1.0, options.true_steps, "true captions")
    # The second stage goes on from the average, which is the model of the first.
    model.load_state_dict(first)
    second = stage(2, CAREFUL, options.mixed_steps, "captions of two kinds")
    kept = {key: value.half().contiguous() for key, value in second.items()}
    save_file(kept, options.output)
