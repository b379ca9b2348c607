"""From what a user gives to an Attend or a Focus: what can be refused is refused here."""

from __future__ import annotations

from typing import Any

import torch

from ..injection.architectures import mmdit, unet
from .attend import Attend
from .errors import GuidanceError
from .focus import Focus
from .losses import LOSSES
from .prompt.places import find, find_joint, require
from .prompt.words import Subject, parse_words, subjects_of, written


def plan(
    model: torch.nn.Module, clip: Any, prompt: str, words: str = "", **settings: Any
) -> Attend:
    """An Attend for a `comfy.model_base.BaseModel` and the `comfy.sd.CLIP` that reads its prompts.

    words: as `parse_words` takes them; empty for what `subjects_of` finds. settings: of Attend.
    Raises GuidanceError where model, words and loss do not go together.
    """
    loss = settings.get("loss", "published")
    if loss not in LOSSES:  # older versions of ComfyUI let any text pass
        raise GuidanceError(f'"{loss}" is no loss: choose {", ".join(LOSSES)}.')
    if not unet.matches(model):
        raise GuidanceError(
            "Attend-and-Excite needs the cross-attention of SD1.x, SD2.x or SDXL, which this model "
            f"({type(model).__name__}) does not have: connect one of these, or leave the node out."
        )
    subjects = _subjects(clip, prompt, words)
    places = find(clip, prompt, subjects)
    require(places, loss, subjects)
    return Attend(places, _text(clip, prompt), written(subjects), **settings)


def plan_focus(
    model: torch.nn.Module, clip: Any, prompt: str, words: str = "", strength: float = 1.0
) -> Focus:
    """The same for FOCUS on SD3 and SD3.5. Raises GuidanceError."""
    if not mmdit.matches(model):
        raise GuidanceError(
            f"FOCUS is for SD3 and SD3.5, and this model is another ({type(model).__name__}): "
            "connect one of these, or for SD1.x, SD2.x and SDXL use Attend-and-Excite."
        )
    subjects = _subjects(clip, prompt, words)
    if len(subjects) < 2:
        raise GuidanceError(
            f'FOCUS keeps things apart, and there is "{written(subjects)}": name two or more in '
            "words, as in red cat, blue dog."
        )
    text = _text(clip, prompt)
    found = find_joint(clip, prompt, subjects, text.shape[1])
    columns = tuple(place for group in found for place in group)
    starts = [sum(map(len, found[:at])) for at in range(len(found))]
    groups = tuple(
        tuple(range(start, start + len(group))) for start, group in zip(starts, found, strict=True)
    )
    return Focus(columns, groups, text, written(subjects), strength)


def _subjects(clip: Any, prompt: str, words: str) -> tuple[Subject, ...]:
    if clip is None:
        raise GuidanceError(
            "There is no CLIP to read the prompt with: connect the one that encodes the sampler's "
            "prompt."
        )
    return parse_words(words) if words.strip() else subjects_of(prompt)


def _text(clip: Any, prompt: str) -> torch.Tensor:
    [[text, _], *_] = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
    return text


def parse_thresholds(text: str) -> tuple[tuple[float, float], ...]:
    """`0:0.05, 0.2:0.5` as pairs of numbers in 0 ... 1. Raises GuidanceError."""
    pairs = []
    for part in text.replace("\n", ",").split(","):
        if not part.strip():
            continue
        try:
            share, attention = (float(each) for each in part.split(":"))
        except ValueError:
            share = attention = -1.0
        if not (0.0 <= share <= 1.0 and 0.0 <= attention <= 1.0):
            raise GuidanceError(
                f'The threshold "{part.strip()}" cannot be read: write a share of the steps and an '
                "attention, both from 0 to 1, as in 0.2:0.5."
            )
        pairs.append((share, attention))
    return tuple(pairs)
