"""ComfyUI's loaded model as training sees it: noise, targets, conditions and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...injection.inference_weights import replace_inference_tensors
from ..errors import BadInput
from ..settings.values import PRECISIONS


class Text(Protocol):
    """An encoded caption: context (n, D) float32 and, where the model has one, pooled (P,)."""

    context: Tensor
    pooled: Tensor | None


@dataclass(frozen=True)
class Noisy:
    """One batch at one timestep. x and target: (B, C, h, w), x the noised latents; sigma: ()."""

    x: Tensor
    target: Tensor
    sigma: Tensor


@dataclass(frozen=True)
class Conditions:
    """What the model is told for each caption of a batch, as its own `extra_conds` makes it.

    entries: one dict of tensors a caption, each (1, ...), on the model's device.
    shapes: a key a caption; only captions of equal keys can share a forward pass. ComfyUI does not
    pad the text of an MMDiT either, and for a U-Net its way (repeating the text) would change how
    much attention the soft tokens get.
    """

    entries: tuple[Mapping[str, Tensor], ...]
    shapes: tuple[Any, ...]

    def take(self, captions: Sequence[int]) -> dict[str, Tensor]:
        """The conditions of these captions as one batch, in this order."""
        chosen = [self.entries[index] for index in captions]
        return {key: torch.cat([entry[key] for entry in chosen]) for key in chosen[0]}


class Denoiser:
    """A `comfy.model_patcher.ModelPatcher`'s model, loaded on ComfyUI's device and frozen.

    precision: a key of PRECISIONS; "auto" computes in the dtype ComfyUI chose for the model.
    uniform: noise levels lie evenly over the network's timesteps 0 ... 999, where those of the
    model's own schedule do not (SD3 shifts its own). At 0 there is nothing to predict: it is 1.
    Raises BadInput for models whose prediction or timesteps SoftREPA is not defined for.
    """

    def __init__(self, patcher: Any, precision: str = "auto", uniform: bool = False) -> None:
        import comfy.model_management

        self.patcher = patcher
        self.model = patcher.model
        self.device = comfy.model_management.get_torch_device()
        self.sampling = self.model.model_sampling
        self.kind = _prediction_kind(self.model)
        self.autocast_dtype = PRECISIONS[precision]
        self._uniform = uniform
        self.load()

    def load(self) -> None:
        """Puts the whole model on the device, where it is not there, frozen."""
        import comfy.model_management

        comfy.model_management.load_models_gpu([self.patcher], force_full_load=True)
        replace_inference_tensors(self.model)
        self.model.requires_grad_(False)
        self.sigmas = self.sampling.sigmas.to(self.device)
        if self._uniform and self.kind == "flow":
            levels = torch.arange(self.timesteps, dtype=torch.float32).clamp(min=1)
            self.sigmas = (levels / self.sampling.multiplier).to(self.device)

    @property
    def timesteps(self) -> int:
        """Noise levels of the model's own schedule: 1000 for every supported family."""
        return len(self.sigmas)

    def noised(self, latents: Tensor, noise: Tensor, timestep: int) -> Noisy:
        """Latents at entry `timestep` (0 ... 999) of the schedule, and what to predict there.

        latents: (B, C, h, w) after process_latent_in; noise: (1 or B, C, h, w). The schedule is the
        model's own, shifted where the model's is (SD3: 3), unless the levels are `uniform`.
        """
        noise = noise.expand_as(latents)
        sigma = self.sigmas[timestep]
        x = self.sampling.noise_scaling(sigma, noise, latents)
        if self.kind == "flow":
            target = noise - latents
        elif self.kind == "velocity":
            target = (noise - sigma * latents) / (sigma**2 + 1).sqrt()
        else:
            target = noise
        return Noisy(x, target, sigma)

    def conditions(self, texts: Sequence[Text], latent: Tensor) -> Conditions:
        """Conditions of the captions for latents of this shape, (B, C, h, w).

        SDXL is told the picture's size, no crop, and the same size as target, as ComfyUI does for
        a plain prompt.
        """
        entries = [self._condition(text, latent) for text in texts]
        shapes = [tuple((key, entry[key].shape) for key in sorted(entry)) for entry in entries]
        return Conditions(tuple(entries), tuple(shapes))

    def _condition(self, text: Text, latent: Tensor) -> dict[str, Tensor]:
        pooled = None if text.pooled is None else text.pooled[None].to(self.device)
        conds = self.model.extra_conds(
            cross_attn=text.context[None].to(self.device),
            pooled_output=pooled,
            noise=latent,
            device=self.device,
            width=latent.shape[3] * 8,
            height=latent.shape[2] * 8,
        )
        return {key: cond.process_cond(1).cond.to(self.device) for key, cond in conds.items()}

    def predict(
        self, x: Tensor, sigma: Tensor, conditions: Mapping[str, Tensor], options: dict[str, Any]
    ) -> Tensor:
        """The network's own output, noise or velocity, (m, C, h, w) float32.

        x: (m, C, h, w); sigma: (); conditions: m captions; options: `transformer_options`.
        Recovered from the denoised latents that `apply_model` gives.
        """
        with self._autocast():
            denoised = self.model.apply_model(
                x, sigma.expand(x.shape[0]), transformer_options=options, **conditions
            )
        if self.kind == "velocity":
            scale = (sigma**2 + 1).sqrt()
            return (x / scale**2 - denoised) * scale / sigma
        return (x - denoised) / sigma

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)


def _prediction_kind(model: torch.nn.Module) -> str:
    """noise, flow or velocity."""
    import comfy.model_sampling as sampling

    schedule, concat = model.model_sampling, getattr(model, "concat_keys", ())
    if concat:
        raise BadInput(
            "This checkpoint paints into given pictures (inpainting or editing): train on the "
            "plain text-to-image checkpoint of its family."
        )
    continuous = (sampling.ModelSamplingDiscreteEDM, sampling.StableCascadeSampling, sampling.EDM)
    if isinstance(schedule, sampling.ModelSamplingDiscrete) and not isinstance(
        schedule, continuous
    ):
        if isinstance(schedule, sampling.V_PREDICTION):
            return "velocity"
        if isinstance(schedule, sampling.EPS) and not isinstance(schedule, sampling.X0):
            return "noise"
    if isinstance(schedule, sampling.ModelSamplingDiscreteFlow) and schedule.multiplier == 1000:
        return "flow"
    raise BadInput(
        f"The trainer does not know what this model ({type(model).__name__}) predicts at which "
        "timesteps: use an SD1.x, SD2.x, SDXL or SD3/SD3.5 checkpoint."
    )
