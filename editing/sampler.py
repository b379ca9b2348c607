"""The steps inside ComfyUI's sampling: its guider, so that hooks, wrappers and LoRAs all act."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from comfy.model_sampling import CONST, COSMOS_RFLOW
from torch import Tensor

from .stepping import EditError, FlowAlign, Method, Plan, Velocities, Velocity, edit, flow_edit

Conditioning = list[Any]
METHODS = ("FlowEdit", "FlowAlign")
CONVENTIONS = ("uncond + s (cond - uncond)", "cond + s (cond - uncond)")
"""How the target's guidance s counts: as everywhere, or as SoftREPA's authors count it."""


Denoise = Callable[[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor], Tensor]
"""(guider, x at a noise level 0 ... 1, the level) -> what the guider denoises it to."""


@dataclass(frozen=True)
class Guidance:
    """source, target: scales. convention: one of CONVENTIONS, for the target."""

    source: float = 3.5
    target: float = 13.5
    convention: str = CONVENTIONS[0]

    @property
    def scale(self) -> float:
        """The target's, as ComfyUI counts."""
        if self.convention not in CONVENTIONS:  # older versions of ComfyUI let any text pass
            raise EditError(f'Choose "{CONVENTIONS[0]}" or "{CONVENTIONS[1]}" as guidance.')
        return self.target + (self.convention == CONVENTIONS[1])


class EditGuider(comfy.samplers.CFGGuider):
    """ComfyUI's guider over three prompts, in place of two."""

    def set_prompts(
        self, source: Conditioning, target: Conditioning, negative: Conditioning
    ) -> None:
        # ControlNets and areas are handed from "positive" to the others.
        self.inner_set_conds({"positive": target, "source": source, "negative": negative})

    def branch(self, towards: str, away_from: str, scale: float) -> comfy.samplers.CFGGuider:
        """This guider between two of its prompts, once sampling has begun."""
        one = copy.copy(self)
        one.conds = {"positive": self.conds[towards], "negative": self.conds[away_from]}
        one.cfg = scale
        return one


@dataclass(frozen=True)
class EditSampler(comfy.samplers.Sampler):
    """What ComfyUI calls in a sampler's place. method: one of METHODS. seed: of all its noise.

    noise_places: for each latent of the batch, which noise of the seed's it gets; None: in order.
    """

    plan: Plan
    guidance: Guidance
    method: str
    zeta: float
    seed: int
    noise_places: Any = None

    def sample(
        self,
        model_wrap: EditGuider,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Callable[[int, Tensor, Tensor, int], None] | None,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        cosmos = isinstance(model_wrap.inner_model.model_sampling, COSMOS_RFLOW)
        levels = sigmas / (sigmas + 1.0) if cosmos else sigmas
        method, velocities = self._method(model_wrap, extra_args, _cosmos if cosmos else _plain)
        generator = torch.Generator().manual_seed(self.seed)

        def draw() -> Tensor:
            shaped = torch.empty_like(latent_image, device="cpu", dtype=torch.float32)
            drawn = comfy.sample.prepare_noise_inner(shaped, generator, self.noise_places)
            return drawn.to(latent_image)

        def told(at: int, steps: int, latent: Tensor) -> None:
            if callback is not None:
                callback(at, latent, latent, steps)

        return edit(latent_image, levels, self.plan, method, velocities, draw, denoise_mask, told)

    def _method(
        self, guider: EditGuider, extra_args: dict[str, Any], denoise: Denoise
    ) -> tuple[Method, Velocities]:
        scale = self.guidance.scale
        if self.method == "FlowAlign":
            target = guider.branch("positive", "source", scale)
            source = guider.branch("source", "negative", 1.0)
            method: Method = FlowAlign(self.zeta)
        elif self.method == "FlowEdit":
            target = guider.branch("positive", "negative", scale)
            source = guider.branch("source", "negative", self.guidance.source)
            method = flow_edit
        else:
            raise EditError(f'"{self.method}" is no method: choose {" or ".join(METHODS)}.')
        return method, Velocities(
            _velocity(source, extra_args, denoise), _velocity(target, extra_args, denoise)
        )


def _velocity(
    guider: comfy.samplers.CFGGuider, extra_args: dict[str, Any], denoise: Denoise
) -> Velocity:
    def predict(x: Tensor, level: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return (x - denoise(partial(guider, **extra_args), x, level)) / level

    return predict


def _plain(guider: Callable[[Tensor, Tensor], Tensor], x: Tensor, level: Tensor) -> Tensor:
    return guider(x, level * x.new_ones(x.shape[0]))


def _cosmos(guider: Callable[[Tensor, Tensor], Tensor], x: Tensor, level: Tensor) -> Tensor:
    """Cosmos' flow models are handed x_0 + sigma noise, of the same ratio of noise."""
    share = 1.0 - level
    return guider(x / share, level / share * x.new_ones(x.shape[0]))


def check(model: Any, latent: Tensor) -> None:
    """Raises EditError where this ModelPatcher is no flow model, or there is nothing to edit."""
    if not isinstance(model.get_model_object("model_sampling"), CONST | COSMOS_RFLOW):
        raise EditError(
            f"FlowEdit edits with flow models (SD3, Flux, Qwen-Image and others), and this model "
            f"({type(model.model).__name__}) is none: load one of those."
        )
    if latent.is_nested or not torch.count_nonzero(latent):
        raise EditError(
            "There is no picture in latent_image: connect VAE Encode, with the picture to edit."
        )


def run(
    model: Any,
    prompts: tuple[Conditioning, Conditioning, Conditioning],
    latent: dict[str, Any],
    schedule: tuple[str, int],
    sampler: EditSampler,
    callback: Callable[[int, Tensor, Tensor, int], None] | None,
) -> dict[str, Any]:
    """ComfyUI's latent after the edit. prompts: source, target, negative. schedule: its scheduler's
    name and the number of steps. Raises EditError."""
    samples = latent["samples"]
    check(model, samples)
    samples = comfy.sample.fix_empty_latent_channels(model, samples)
    sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, *schedule)
    guider = EditGuider(model)
    guider.set_prompts(*prompts)
    edited = guider.sample(
        torch.zeros_like(samples),
        samples,
        sampler,
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=callback,
        disable_pbar=True,
        seed=sampler.seed,
    )
    return {**latent, "samples": edited.to(comfy.model_management.intermediate_device())}
