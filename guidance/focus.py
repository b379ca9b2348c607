"""FOCUS (arXiv 2510.02315) on SD3: the prediction is bent so that things keep apart.

The test-time controller of the paper, as its authors' code has it: at each step one gradient of a
cost on attention maps, added to the velocity after guidance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from .gradients import gradients, with_little_memory
from .losses import smoothed
from .maps.call import maps_of
from .maps.mmdit import JointRecorder
from .prompt.conditions import require_prompt

KEY = "softrepa_focus"
_BESIDE = math.exp(-0.5)
"""The weight of a neighbour in the smoothing: a Gaussian of sigma 1."""
_LEAST = 1e-10
_EPSILON = 1e-3

Level = TypeVar("Level", float, Tensor)

Groups = Sequence[Sequence[int]]
"""The tokens of each thing, as columns of the maps."""


def cost(maps: Tensor, groups: Groups) -> Tensor:
    """How far tokens of a thing lie apart, and things together: a tensor of no dimensions, 0 ... 1.

    maps: (h, w, N) float32.
    """
    smooth = torch.stack([smoothed(each, _BESIDE).flatten() for each in maps.unbind(-1)])
    within = [_divergence(smooth[list(group)]) for group in groups if len(group) > 1]
    total = torch.stack(within).mean() if within else smooth.new_zeros(())
    if len(groups) > 1:
        things = torch.stack([smooth[list(group)].mean(0) for group in groups])
        total = total + 1.0 - _divergence(things)
    return total / 2


def _divergence(maps: Tensor) -> Tensor:
    """Jensen and Shannon's, of the cubes of (T, n) maps, as a share of its highest value."""
    peaked = maps**3
    peaked = peaked / peaked.sum(-1, keepdim=True).clamp_min(_LEAST)
    mean = peaked.mean(0, keepdim=True)
    relative = (peaked + _LEAST).log() - (mean + _LEAST).log()
    return (peaked * relative).sum(-1).mean() / math.log(len(maps))


def share_of_gradient(level: Level) -> Level:
    """How much of the cost's gradient is taken from what is denoised, at strength 1.

    level: sigma, 0 ... 1. The velocity gets sigma * s^2(sigma) * gradient, where s is the noise of
    the memoryless process; what is denoised is x - sigma * velocity.
    """
    return level**2 * 2.0 * (level + _EPSILON) / (1.0 - level + _EPSILON)


@dataclass(frozen=True, eq=False)
class Focus:
    """What to keep apart, and how strongly.

    columns: rows of the text that belong to things; groups: which of them to which thing. text:
    (1, N, D), the prompt as its encoders gave it. words: as a user would write them. strength:
    lambda in the paper.
    """

    columns: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    text: Tensor
    words: str
    strength: float = 1.0

    def check(self, executor: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """An `OUTER_SAMPLE` wrapper. Raises GuidanceError where the prompt is another."""
        require_prompt(executor.class_obj.conds, self.text)
        return executor(*args, **kwargs)

    def predict(
        self,
        executor: Callable[..., Tensor],
        x: Tensor,
        sigma: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """A `PREDICT_NOISE` wrapper: predicts, then bends. x: (B, C, h, w); sigma: 0 ... 1."""
        guider, options = executor.class_obj, model_options or {}
        denoised = executor(x, sigma, options, seed)
        if self.strength == 0.0:
            return denoised
        with gradients(guider.inner_model, x.device):
            found = [
                self._gradient(guider, x[at : at + 1], sigma[at : at + 1].clone(), options)
                for at in range(x.shape[0])
            ]
        level = sigma.reshape(-1, 1, 1, 1)
        return denoised - self.strength * share_of_gradient(level) * torch.cat(found)

    def _gradient(self, guider: Any, x: Tensor, sigma: Tensor, options: dict[str, Any]) -> Tensor:
        throw_exception_if_processing_interrupted()
        x = x.clone().requires_grad_()

        def compute() -> Tensor:
            maps = maps_of(
                guider, self.text, x, sigma, options, lambda: JointRecorder(self.columns)
            )
            if maps is None:
                return torch.zeros_like(x).detach()
            return torch.autograd.grad(cost(maps, self.groups), x)[0]

        return with_little_memory(
            compute, guider.inner_model.diffusion_model, options.get("transformer_options", {})
        )


def apply(patcher: Any, focus: Focus) -> Any:
    """A clone of this `comfy.model_patcher.ModelPatcher` whose predictions are bent."""
    patched = patcher.clone()
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, focus.check)
    patched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, focus.predict)
    return patched
