"""Trains a CLIP of the real architecture, only narrow, on the demo world's pictures and captions.

Contrastively, as CLIP is. A batch holds each scene beside others that differ in one attribute, or
colours alone would tell most captions apart. It sees the training part of the world only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ....training.cache.progress import progress
from ... import world

TEXT = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2,
        "num_attention_heads": 3, "eos_token_id": 49407, "bos_token_id": 49406,
        "pad_token_id": 49407}  # fmt: skip
VISION = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4,
          "num_attention_heads": 4, "image_size": world.SIZE, "patch_size": 8}  # fmt: skip
ALIKE = 4
"""Scenes of a batch that differ from each other in one attribute."""
BATCH = 128
STEPS = 1000
PICTURES = 24_000
RATE = 2e-3
WARMUP = 100
SHIFT = 3
"""Pixels by which a picture is moved at most, anew each time it is shown."""


def build() -> Any:
    """The untrained `transformers.CLIPModel`; a projection as wide as the text, as ComfyUI's."""
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=TEXT["hidden_size"])
    return CLIPModel(config)


def alike(rng: np.random.Generator) -> list[world.Scene]:
    """A scene and ALIKE - 1 others, each with one attribute changed; no two show the same."""
    first = world.sample_scene(rng)
    found = {world.canonical(first): first}
    while len(found) < ALIKE:
        other = _changed(first, rng)
        if world.split_of(other) == "train":
            found.setdefault(world.canonical(other), other)
    return list(found.values())


def _changed(scene: world.Scene, rng: np.random.Generator) -> world.Scene:
    """One attribute drawn anew, within the rules of the world."""
    if scene.second is not None and rng.random() < 0.3:
        return replace(scene, relation=world.RELATIONS[rng.integers(4)])
    place = "second" if scene.second is not None and rng.random() < 0.5 else "first"
    group = getattr(scene, place)
    which = rng.integers(3)
    taken = {each.colour for each in scene.groups}
    free = [colour for colour in world.COLOURS if colour not in taken]
    group = replace(
        group,
        number=int(rng.integers(1, 4)) if which == 0 else group.number,
        colour=free[rng.integers(len(free))] if which == 1 else group.colour,
        shape=world.SHAPES[rng.integers(3)] if which == 2 else group.shape,
    )
    return replace(scene, **{place: group})


def batches(count: int, seed: int) -> Iterator[tuple[Tensor, list[str]]]:
    """Endless pixels (BATCH, 3, 64, 64) in 0..1 and captions; either telling of a scene."""
    rng = np.random.default_rng(seed)
    groups = [alike(rng) for _ in range(count // ALIKE)]
    bar = progress(groups, label="pictures", unit="group")
    drawn = torch.from_numpy(
        np.stack([[np.asarray(world.render(one, rng)) for one in group] for group in bar])
    )
    while True:
        chosen = rng.choice(len(groups), BATCH // ALIKE, replace=False)
        scenes = [scene for at in chosen for scene in groups[at]]
        told = [world.retold(scene) if rng.random() < 0.5 else scene for scene in scenes]
        pixels = drawn[torch.from_numpy(chosen)].flatten(0, 1).permute(0, 3, 1, 2)
        down, across = (int(each) for each in rng.integers(-SHIFT, SHIFT + 1, 2))
        yield pixels.roll((down, across), (2, 3)).float() / 255, [world.caption(s) for s in told]


class Words:
    """Captions to CLIP's tokens, without the padding behind the longest."""

    def __init__(self) -> None:
        from ....evaluation.scorers.models.clip_weights import Texts

        self._texts, self._known = Texts(), {}

    def __call__(self, captions: list[str]) -> Tensor:
        new = [caption for caption in set(captions) if caption not in self._known]
        if new:
            self._known |= dict(zip(new, self._texts.tokens(new), strict=True))
        ids = torch.tensor([self._known[caption] for caption in captions])
        # A later token is never seen by an earlier one: cutting the padding changes nothing.
        return ids[:, : int((ids == TEXT["eos_token_id"]).int().argmax(dim=1).max()) + 1]


def train(steps: int, pictures: int, seed: int) -> Any:
    """The trained model, float32."""
    from ....evaluation.scorers.models.pixels import CLIP_MEAN, CLIP_STD

    torch.manual_seed(seed)
    model, words, data = build(), Words(), batches(pictures, seed)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, weight_decay=0.01, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    answers, smooth = torch.arange(BATCH), 0.0
    bar = progress(range(steps), label="small CLIP", unit="step")
    for step in bar:
        pixels, captions = next(data)
        # Not in bfloat16: at this width a CPU takes longer for it.
        logits = model(
            input_ids=words(captions), pixel_values=(pixels - mean) / std
        ).logits_per_image
        loss = (F.cross_entropy(logits, answers) + F.cross_entropy(logits.T, answers)) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        model.logit_scale.data.clamp_(max=np.log(100))
        smooth += (loss.item() - smooth) * max(0.02, 1 / (step + 1))
        bar.set_postfix_str(f"loss {smooth:.4f}", refresh=False)
    return model


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + np.cos(np.pi * step / steps))


def blank_unknown(model: Any) -> None:
    """Tokens of no word of the world to zero: they say nothing, and the file packs small."""
    words = {word for scene in world.all_scenes() for word in world.caption(scene).split()}
    known = {int(token) for row in Words()(sorted(words)) for token in row}
    weight = model.text_model.embeddings.token_embedding.weight.data
    unknown = torch.ones(len(weight), dtype=torch.bool)
    unknown[list(known)] = False
    weight[unknown] = 0


def main(arguments: list[str]) -> None:
    """Trains and writes config.json and model.safetensors, half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    options = parser.parse_args(arguments)
    model = train(options.steps, options.pictures, options.seed)
    blank_unknown(model)
    model.half().save_pretrained(options.output)
