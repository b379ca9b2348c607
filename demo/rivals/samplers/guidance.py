"""Ways to guide a step beside the ordinary one, each as ComfyUI computes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ....evaluation.trial import Sampling
from ...sweep.short.forward import Sampler, Short, euler


def alone(
    model: Short, x: Tensor, prompts: Sequence[str], settings: Sampling, told: Mapping[str, Any]
) -> Tensor:
    """No guidance: the prompt's prediction only, half of the evaluations."""
    texts = model.prompts.encode(list(prompts))
    for sigma, following in pairwise(model.schedule(settings.steps)):
        x = x + (following - sigma) * model.predict(x, sigma, texts, **told)
    return x


def plus_plus(
    model: Short, x: Tensor, prompts: Sequence[str], settings: Sampling, told: Mapping[str, Any]
) -> Tensor:
    """CFG++ (arXiv 2406.08070) as ComfyUI's euler_cfg_pp: the noise that is put back is that of
    the empty prompt. `settings.guidance` is its own scale, about 1."""
    texts = model.prompts.encode([*prompts, *[""] * len(prompts)])
    for sigma, following in pairwise(model.schedule(settings.steps)):
        both = model.predict(torch.cat((x, x)), sigma, texts, **told)
        asked, unasked = model.denoised(torch.cat((x, x)), sigma, both).split(len(prompts))
        noise = (x - model.signal(sigma) * unasked) / sigma
        guided = unasked + settings.guidance * (asked - unasked)
        x = model.signal(following) * guided + following * noise
    return x


def weakened(
    model: Short,
    x: Tensor,
    prompts: Sequence[str],
    settings: Sampling,
    told: Mapping[str, Any],
    *,
    scale: float,
    passes: Counter[str],
) -> Tensor:
    """Perturbed-attention guidance (U-Nets) or skip-layer guidance (SD3) in every step, on top of
    ordinary guidance at `settings.guidance`: a third evaluation, and none with a gradient."""
    texts = model.prompts.encode([*prompts, *[""] * len(prompts)])
    own = model.prompts.encode(list(prompts))
    for sigma, following in pairwise(model.schedule(settings.steps)):
        both = model.predict(torch.cat((x, x)), sigma, texts, **told)
        asked, unasked = both.split(len(prompts))
        worse = model.predict(x, sigma, own, **told, weakened=True)
        guided = unasked + settings.guidance * (asked - unasked)
        x = x + (following - sigma) * (guided + scale * (asked - worse))
    return x


SAMPLERS: Mapping[str, tuple[Sampler, int]] = MappingProxyType(
    {
        "alone": (alone, 1),
        "CFG": (euler, 2),
        "CFG++": (plus_plus, 2),
    }
)
"""By name: the sampler, and a picture's evaluations of the network at each step."""


def at(settings: Sampling, scale: float) -> Sampling:
    """These settings at another scale."""
    return replace(settings, guidance=scale)
