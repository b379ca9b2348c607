"""Attend-and-Excite inside ComfyUI's samplers: each step's latent is moved before it is denoised.

A sampler's wrapper moves the latent in place, so that the sampler goes on from the moved one, as
the published loop does. Nothing is kept between two steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from .gradients import gradients, with_little_memory
from .losses import LOSSES
from .maps.call import maps_of
from .maps.unet import Recorder
from .prompt.conditions import require_prompt
from .prompt.places import Places

KEY = "softrepa_attend"
"""The name of ours among the wrappers."""


@dataclass(frozen=True, eq=False)
class Attend:
    """What to look after, and how hard.

    text: (1, N, D), the prompt as its encoder gave it, by which the sampler's positive prompt is
    known. words: what is looked after, as a user would write it. loss: a key of LOSSES. step_size:
    of the latent as the network is given it (of variance 1); it falls to sqrt(1/2) of this over
    the steps. share: of the steps in which it acts. thresholds: (share of the steps, highest
    attention); where the published loss begins above 1 - that, the latent is moved until it is
    below, `tries` times at most.
    """

    places: Places
    text: Tensor
    words: str
    loss: str = "published"
    step_size: float = 20.0
    share: float = 0.5
    thresholds: tuple[tuple[float, float], ...] = ((0.0, 0.05), (0.2, 0.5), (0.4, 0.8))
    tries: int = 20

    def check(self, executor: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """An `OUTER_SAMPLE` wrapper. Raises GuidanceError where the sampler's positive prompt is
        another, before the model is loaded."""
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
        """A `PREDICT_NOISE` wrapper: moves x in place, then predicts. x: (B, C, h, w)."""
        guider, options = executor.class_obj, model_options or {}
        sigmas = options.get("transformer_options", {}).get("sample_sigmas")
        # One look at the noise level from the host, beside which a backward pass is long.
        step = None if sigmas is None else self.step(sigmas.tolist(), float(sigma.amax()))
        if step is not None:
            with gradients(guider.inner_model, x.device):
                moved = [
                    self._moved(guider, x[at : at + 1], sigma[at : at + 1], options, *step)
                    for at in range(x.shape[0])
                ]
            x.copy_(torch.cat(moved))
        return executor(x, sigma, options, seed)

    def step(self, sigmas: Sequence[float], current: float) -> tuple[float, float | None] | None:
        """The step size at the `current` of a run's noise levels, and the loss to be reached; None
        after our share."""
        if len(sigmas) < 2:
            return None
        steps = len(sigmas) - 1
        above = [each for each in sigmas if each >= current * (1.0 - 1e-5)]
        step = max(len(above) - 1, 0)
        if step >= self.share * steps:
            return None
        size = self.step_size * math.sqrt(1.0 - 0.5 * step / max(steps - 1, 1))
        begins = math.isclose(current, above[-1], rel_tol=1e-4) if above else True
        for share, reached in self.thresholds if begins and self.loss == "published" else ():
            if round(share * steps) == step:
                return size, 1.0 - reached
        return size, None

    def _moved(
        self,
        guider: Any,
        x: Tensor,
        sigma: Tensor,
        options: dict[str, Any],
        size: float,
        target: float | None,
    ) -> Tensor:
        """One sample after this step's moves. Its gradient is taken in the network's own scale."""
        model, sigma = guider.inner_model, sigma.clone()
        scale = model.model_sampling.calculate_input(sigma, torch.ones_like(x)).reciprocal()
        begun = latent = x.clone() / scale

        def look(latent: Tensor) -> tuple[float, Tensor | None]:
            throw_exception_if_processing_interrupted()
            return with_little_memory(
                lambda: self._gradient(guider, latent, scale, sigma, options),
                model.diffusion_model,
                options["transformer_options"],
            )

        loss, gradient = look(latent)
        if target is not None and loss > target:
            for _ in range(self.tries):
                latent = _after(latent, size, gradient)
                reached = loss <= target
                loss, gradient = look(latent)
                if reached:
                    break
        return x + (_after(latent, size, gradient) - begun) * scale

    def _gradient(
        self, guider: Any, latent: Tensor, scale: Tensor, sigma: Tensor, options: dict[str, Any]
    ) -> tuple[float, Tensor | None]:
        """The loss and its gradient; 0 and None where the prompt does not act at this step."""
        latent = latent.detach().requires_grad_()
        maps = maps_of(
            guider,
            self.text,
            latent * scale,
            sigma,
            options,
            lambda: Recorder(self.places.length),
        )
        if maps is None:
            return 0.0, None
        loss = LOSSES[self.loss](maps, self.places)
        return float(loss.detach()), torch.autograd.grad(loss, latent)[0]


def _after(latent: Tensor, size: float, gradient: Tensor | None) -> Tensor:
    return latent if gradient is None else latent - size * gradient


def apply(patcher: Any, attend: Attend) -> Any:
    """A clone of this `comfy.model_patcher.ModelPatcher` whose sampling is led."""
    patched = patcher.clone()
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, attend.check)
    patched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, attend.predict)
    return patched
