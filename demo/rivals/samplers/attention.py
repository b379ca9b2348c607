"""Sampling led by what a prompt's words are attended to, by a base's short forward.

Words, losses and steps are those of `guidance`, at its nodes' defaults; tests hold the pictures
against the nodes'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from ....evaluation.trial import Sampling
from ....guidance.attend import Attend
from ....guidance.errors import GuidanceError
from ....guidance.focus import cost, share_of_gradient
from ....guidance.losses import LOSSES
from ....guidance.prompt.places import Places, find, require
from ....guidance.prompt.words import subjects_of
from ...sweep.short.forward import Short
from .guidance import weakened

GRADIENTS = "gradients"
"""What is counted: pictures for which the network was run forward and back."""


class Led(Protocol):
    """A sampler on top of ordinary guidance, which is `settings.guidance`.

    scale: how strongly it leads. passes: counts GRADIENTS.
    """

    def __call__(
        self,
        model: Short,
        x: Tensor,
        prompts: Sequence[str],
        settings: Sampling,
        told: Mapping[str, Any],
        *,
        scale: float,
        passes: Counter[str],
    ) -> Tensor: ...


@dataclass(frozen=True)
class AttendAndExcite:
    """The U-Net base's, with one of the losses; the scale is the step size. A prompt in which
    there is nothing for the loss to work on is painted without."""

    loss: str

    def __call__(
        self,
        model: Short,
        x: Tensor,
        prompts: Sequence[str],
        settings: Sampling,
        told: Mapping[str, Any],
        *,
        scale: float,
        passes: Counter[str],
    ) -> Tensor:
        """As a Led."""
        places = [places_of(prompt, self.loss) for prompt in prompts]
        led = torch.tensor([at for at, found in enumerate(places) if found is not None])
        schedule = model.schedule(settings.steps)
        texts = model.prompts.encode([*prompts, *[""] * len(prompts)])
        for sigma, following in pairwise(schedule):
            step = self._step(schedule, sigma, scale, places)
            if step is not None:
                unit = float(model.start(torch.ones(()), sigma))

                def look(
                    latents: Tensor, at: Tensor, sigma: float = sigma, unit: float = unit
                ) -> tuple[Tensor, Tensor]:
                    chosen = led[at].tolist()
                    passes[GRADIENTS] += len(chosen)

                    def losses(maps: Tensor) -> Tensor:
                        rows = zip(maps, chosen, strict=True)
                        return torch.stack(
                            [LOSSES[self.loss](one, places[row]) for one, row in rows]
                        )

                    words = [prompts[row] for row in chosen]
                    return _gradient(model, latents, unit, sigma, words, told, losses)

                x[led] = unit * moved(x[led] / unit, *step, look)
            both = model.predict(torch.cat((x, x)), sigma, texts, **told)
            asked, unasked = both.split(len(prompts))
            x = x + (following - sigma) * (unasked + settings.guidance * (asked - unasked))
        return x

    def _step(
        self, schedule: Sequence[float], sigma: float, scale: float, places: Sequence[Places | None]
    ) -> tuple[float, float | None] | None:
        """The same for all prompts."""
        first = next((found for found in places if found is not None), None)
        if first is None:
            return None
        return Attend(first, torch.empty(0), "", self.loss, scale).step(schedule, sigma)


TRIES = Attend.tries

Look = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Latents (n, C, h, w) and their places in the batch to their losses (n,) and gradients."""


def moved(latents: Tensor, size: float, target: float | None, look: Look) -> Tensor:
    """What the node does to each of these for itself, for all at once: one move, and where the
    loss is above a target moves until it is not, TRIES at most."""
    every = torch.arange(len(latents))
    losses, gradients = look(latents, every)
    going = every[losses > target] if target is not None else every[:0]
    for _ in range(TRIES):
        if not len(going):
            break
        latents[going] -= size * gradients[going]
        above = losses[going] > target
        losses[going], gradients[going] = look(latents[going], going)
        going = going[above]
    return latents - size * gradients


def focus(
    model: Short,
    x: Tensor,
    prompts: Sequence[str],
    settings: Sampling,
    told: Mapping[str, Any],
    *,
    scale: float,
    passes: Counter[str],
) -> Tensor:
    """FOCUS on the SD3 base, as a Led; the scale is its strength. A prompt of one thing is painted
    without."""
    groups = [_groups(prompt) for prompt in prompts]
    led = [at for at, found in enumerate(groups) if len(found) > 1]
    words = [prompts[at] for at in led]

    def costs(maps: Tensor) -> Tensor:
        return torch.stack([cost(one, groups[at]) for one, at in zip(maps, led, strict=True)])

    texts = model.prompts.encode([*prompts, *[""] * len(prompts)])
    for sigma, following in pairwise(model.schedule(settings.steps)):
        both = model.predict(torch.cat((x, x)), sigma, texts, **told)
        asked, unasked = both.split(len(prompts))
        velocity = unasked + settings.guidance * (asked - unasked)
        if led:
            passes[GRADIENTS] += len(led)
            _, gradients = _gradient(model, x[led], 1.0, sigma, words, told, costs)
            velocity[led] += scale * share_of_gradient(sigma) / sigma * gradients
        x = x + (following - sigma) * velocity
    return x


def _gradient(
    model: Short,
    latents: Tensor,
    unit: float,
    sigma: float,
    prompts: Sequence[str],
    told: Mapping[str, Any],
    losses: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Each picture's loss and its gradient; `unit` times latents is what the network is given."""
    with torch.inference_mode(False), torch.enable_grad():
        point = latents.clone().requires_grad_()
        texts = model.prompts.encode(list(prompts))
        found = losses(model.maps(unit * point, sigma, texts, **told))
        (gradients,) = torch.autograd.grad(found.sum(), point)
        return found.detach(), gradients


@dataclass(frozen=True)
class _Reader:
    """In a CLIP's place for `guidance.prompt.places`, which asks for its tokens only."""

    tokenizer: Any

    def tokenize(self, text: str) -> Any:
        return self.tokenizer.tokenize_with_weights(text)


@cache
def _reader() -> _Reader:
    from comfy.sd1_clip import SD1Tokenizer

    return _Reader(SD1Tokenizer())


@cache
def places_of(prompt: str, loss: str) -> Places | None:
    """Where the nouns that the node's own rule finds stand; None where the node would refuse."""
    subjects = subjects_of(prompt)
    places = find(_reader(), prompt, subjects)
    try:
        require(places, loss, subjects)
    except GuidanceError:
        return None
    return places


@cache
def _groups(prompt: str) -> tuple[tuple[int, ...], ...]:
    """Rows of each thing's words. The SD3 base has no T5, so they are CLIP's alone."""
    places = find(_reader(), prompt, subjects_of(prompt))
    return tuple(tuple(sorted(thing.places)) for thing in places.things)


LED: Mapping[str, Led] = MappingProxyType(
    {
        "Attend-and-Excite": AttendAndExcite("published"),
        "Attend-and-Excite, pairs": AttendAndExcite("pairs"),
        "Attend-and-Excite, overlap": AttendAndExcite("overlap"),
        "FOCUS": focus,
        "PAG": weakened,
        "SLG": weakened,
    }
)
"""By name: what lies on top of ordinary guidance, with a scale of its own."""
EVALUATIONS: Mapping[str, int] = MappingProxyType({"PAG": 3, "SLG": 3})
"""Of a picture at each step, where there are not two, beside GRADIENTS."""
