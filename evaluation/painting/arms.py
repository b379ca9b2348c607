"""What an arm is painted with, as ComfyUI's own objects, and the texts that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TrialError
from ..trial import Prompt

Conditioning = list[Any]
"""As ComfyUI's CONDITIONING: [[tensor, options], ...]."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One of the ways to paint.

    model: a `comfy.model_patcher.ModelPatcher`. clip: a `comfy.sd.CLIP` that encodes the prompts
    and the negative prompt, None where both are given as conditionings. positive: finished
    conditionings in place of the prompts, one for all or one each. negative: in place of the
    negative prompt.
    """

    name: str
    model: Any
    clip: Any = None
    positive: Sequence[Conditioning] = ()
    negative: Conditioning | None = None


def check_texts(arms: Iterable[Arm], prompts: int) -> None:
    """Raises TrialError where an arm has nothing to say to its model."""
    for arm in arms:
        if arm.positive and len(arm.positive) not in (1, prompts):
            raise TrialError(
                f"{arm.name} has {len(arm.positive)} conditionings for {prompts} prompts: give one "
                "for all, or one each."
            )
        if arm.clip is None and not (arm.positive and arm.negative is not None):
            lacks = "negative conditioning" if arm.positive else "conditioning"
            raise TrialError(f"{arm.name} has neither a CLIP nor a {lacks}: connect one.")


class Texts:
    """The conditionings of arms, each text encoded once by each CLIP.

    Texts are encoded for many pictures ahead, so that text encoder and model do not take turns on
    the device at every picture.
    """

    def __init__(self, prompts: Sequence[Prompt], negative: str) -> None:
        self._places = {prompt.id: at for at, prompt in enumerate(prompts)}
        self._prompts, self._negative = prompts, negative
        self._encoded: dict[tuple[int, str], Conditioning] = {}

    def prepare(self, pairs: Sequence[tuple[Arm, str]]) -> None:
        """Encodes what these arms are given for these prompts; forgets all other prompts."""
        wanted = {
            (id(arm.clip), text): arm.clip
            for arm, prompt in pairs
            if arm.clip is not None
            for text in self._texts(arm, prompt)
        }
        kept = {key: done for key, done in self._encoded.items() if key in wanted}
        for key, clip in wanted.items():
            if key not in kept:
                # As CLIPTextEncode does.
                kept[key] = clip.encode_from_tokens_scheduled(clip.tokenize(key[1]))
        self._encoded = kept

    def _texts(self, arm: Arm, prompt: str) -> list[str]:
        positive = [] if arm.positive else [self._prompts[self._places[prompt]].text]
        return positive if arm.negative is not None else [*positive, self._negative]

    def of(self, arm: Arm, prompt: str) -> tuple[Conditioning, Conditioning]:
        """Positive and negative conditioning; `prepare` must have been called."""
        place = self._places[prompt]
        if arm.positive:
            positive = arm.positive[place if len(arm.positive) > 1 else 0]
        else:
            positive = self._encoded[id(arm.clip), self._prompts[place].text]
        if arm.negative is not None:
            return positive, arm.negative
        return positive, self._encoded[id(arm.clip), self._negative]
