"""The SD3 base once it has read captions of every length in `length`, as real models have.

The kept base has read no more than nine words, so what is lost on longer prompts may be its own.
This one goes on from there with the same pictures and the same two kinds of sources, each caption
told in a length drawn anew; an adapter that learns from short captions on it shows its own part.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ...models.base import join, network, train
from ...sweep.short.sd3 import Model
from . import length

NAME = "sd3-long"
STEPS = 1200
SEED = 3


def load(file: Path, steps: int = STEPS, pictures: int = train.PICTURES) -> Model:
    """From its file, or trained into it first. COMFYUI_PATH's core must be attached."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.part")
        kept = _trained(steps, pictures, file.with_name(f"{file.stem}.state"))
        save_file({key: value.half().contiguous() for key, value in kept.items()}, partial)
        partial.replace(file)
    return Model.load(file)


def _trained(steps: int, pictures: int, state: Path) -> dict[str, torch.Tensor]:
    """The average of the weights; goes on from the state where an earlier run was stopped."""
    torch.manual_seed(SEED)
    images, scenes = train.latents(pictures, SEED, join.VAE)
    model, prompts = network.build(), train.Prompts.load()
    model.load_state_dict({key: value.float() for key, value in load_file(join.MMDIT).items()})
    data = train.batches(
        images, scenes, prompts, train.CAREFUL, SEED, tuple(length.LENGTHS.values())
    )
    found = train.train(model, data, steps, "captions of every length", state=state)
    state.unlink(missing_ok=True)
    return found
