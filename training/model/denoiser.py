"""ComfyUI's loaded model as training sees it: noise, targets, conditions and predictions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...injection.architectures import architecture_of
from ...injection.architectures.architecture import Architecture
from ...injection.backward.inference_weights import drop_kept_copies, replace_inference_tensors
from ..errors import BadInput
from ..settings.values import PRECISIONS
from .graph.blocks import training_mode, writes_allowed
from .graph.main_memory import MAIN_MEMORY


class Text(Protocol):
    """An encoded caption: context (n, D) float32, where the model has one pooled (P,), and more of
    what ComfyUI's conditioning holds, by name."""

    context: Tensor
    pooled: Tensor | None
    more: Mapping[str, Tensor]


@dataclass(frozen=True)
class Noisy:
    """One batch at one timestep. x and target: (B, C, h, w) or, of models of video too, (B, C, 1,
    h, w); x the noised latents; sigma: ()."""

    x: Tensor
    target: Tensor
    sigma: Tensor


@dataclass(frozen=True)
class Conditions:
    """What the model is told for each caption of a batch, as its own `extra_conds` makes it.

    entries: one dict a caption, of tensors (1, ...) on the model's device, or what is no tensor.
    shapes: a key a caption; only captions of equal keys can share a forward pass. ComfyUI does not
    pad the text of an MMDiT either, and for a U-Net its way (repeating the text) would change how
    much attention the soft tokens get.
    """

    entries: tuple[Mapping[str, Any], ...]
    shapes: tuple[Any, ...]

    def take(self, captions: Sequence[int]) -> dict[str, Any]:
        """The conditions of these captions as one batch, in this order."""
        chosen = [self.entries[index] for index in captions]
        return {
            key: torch.cat([entry[key] for entry in chosen]) if isinstance(one, Tensor) else one
            for key, one in chosen[0].items()
        }


class Denoiser:
    """A `comfy.model_patcher.ModelPatcher`'s model, loaded on ComfyUI's device and frozen.

    precision: a key of PRECISIONS; "auto" computes in the dtype ComfyUI chose for the model.
    uniform: noise levels lie evenly over the network's timesteps 0 ... 999, where those of the
    model's own schedule do not (SD3 shifts its own). At 0 there is nothing to predict: it is 1.
    room: bytes that the model leaves free on the device, with the inputs of recomputed blocks there
    and, where it does not fit so, with those in the main memory (see `graph.options.room`): what
    does not fit beside them stays in ComfyUI's hands, and is fetched as it is needed. (0, 0): the
    whole model is loaded. Only where blocks are computed again, as a backward pass would hold on to
    what was fetched. place: where those inputs are to lie, None for the device itself.
    moving: what ComfyUI is to move weights under, see `comfy_model.Encoder`; among them are those
    of others, which it takes off the device to make room.
    Raises BadInput for models whose prediction or timesteps SoftREPA is not defined for.
    """

    def __init__(
        self,
        patcher: Any,
        precision: str = "auto",
        uniform: bool = False,
        room: tuple[int, int] = (0, 0),
        moving: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        import comfy.model_management

        self.patcher, self.moving = patcher, moving
        self.model = patcher.model
        self.device = comfy.model_management.get_torch_device()
        self.sampling = self.model.model_sampling
        self.kind = _prediction_kind(self.model)
        self.autocast_dtype = PRECISIONS[precision]
        self._uniform, (self._room, less) = uniform, room
        self.place: torch.device | None = None
        self.load()
        if self._room and self.outside():
            self.place, self._room = MAIN_MEMORY, less
            self.load()

    def outside(self) -> int:
        """Bytes of the weights that do not fit the device beside the room."""
        import comfy.model_management

        left = self.patcher.model_size() - self.patcher.loaded_size()
        if self.device.type == "cpu" or not self._room or left <= 0:
            return 0
        # Newer cores may load weights at their first use, and then as many as there is room for.
        free = comfy.model_management.get_free_memory(self.device)
        return max(0, min(left, left + self._room - free))

    def load(self) -> None:
        """Puts the model on the device, where it is not there, frozen."""
        import comfy.model_management

        with self.moving():
            comfy.model_management.load_models_gpu(
                [self.patcher], memory_required=self._room, force_full_load=not self._room
            )
        replace_inference_tensors(self.model, self.device)
        drop_kept_copies(self.model)
        self.model.requires_grad_(False)
        self.sigmas = self.sampling.sigmas.to(self.device)
        if self._uniform and self.kind == "flow":
            levels = torch.arange(self.timesteps, dtype=torch.float32).clamp(min=1)
            times = levels / self.timesteps
            if _is_cosmos(self.sampling):
                times = (times / (1.0 - times)).clamp(max=float(self.sampling.sigma_max))
            self.sigmas = times.to(self.device)

    @functools.cached_property
    def architecture(self) -> Architecture:
        return architecture_of(self.model)

    @property
    def timesteps(self) -> int:
        """Noise levels of the model's own schedule: 1000, of Flux and its relatives 10,000."""
        return len(self.sigmas)

    def noised(self, latents: Tensor, noise: Tensor, timestep: int) -> Noisy:
        """Latents at entry `timestep` (0 ... 999) of the schedule, and what to predict there.

        latents: (B, C, ...) after process_latent_in; noise: (1 or B, C, ...). The schedule is the
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
        """Conditions of the captions for latents of this shape, (B, C, ...).

        SDXL is told the picture's size, no crop, and the same size as target, as ComfyUI does for
        a plain prompt.
        """
        entries = [self._condition(text, latent) for text in texts]
        shapes = [
            tuple((key, getattr(entry[key], "shape", entry[key])) for key in sorted(entry))
            for entry in entries
        ]
        return Conditions(tuple(entries), tuple(shapes))

    def _condition(self, text: Text, latent: Tensor) -> dict[str, Any]:
        guidance = self.architecture.guidance(self.model)
        more = dict(text.more) if guidance is None else {**text.more, "guidance": guidance}
        # As sampling does: some models do less of their own work later where they see it.
        with torch.inference_mode():
            conds = self.model.extra_conds(
                cross_attn=text.context[None].to(self.device),
                pooled_output=None if text.pooled is None else text.pooled[None].to(self.device),
                noise=latent,
                device=self.device,
                width=latent.shape[-1] * 8,
                height=latent.shape[-2] * 8,
                **more,
            )
            found = {key: cond.process_cond(1, area=None).cond for key, cond in conds.items()}
        return {
            key: one.to(self.device, copy=True) if isinstance(one, Tensor) else one
            for key, one in found.items()
        }

    def predict(
        self, x: Tensor, sigma: Tensor, conditions: Mapping[str, Tensor], options: dict[str, Any]
    ) -> Tensor:
        """The network's own output, noise or velocity, (m, C, ...) float32.

        x: (m, C, ...); sigma: (); conditions: m captions; options: `transformer_options`.
        Recovered from the denoised latents that `apply_model` gives.
        """
        with self._autocast(), training_mode():
            denoised = self.model.apply_model(
                x, sigma.expand(x.shape[0]), transformer_options=options, **conditions
            )
        if self.kind == "velocity":
            scale = (sigma**2 + 1).sqrt()
            return (x / scale**2 - denoised) * scale / sigma
        if _is_cosmos(self.sampling):
            time = sigma / (sigma + 1)
            return (x * (1 - time) - denoised) / time
        return (x - denoised) / sigma

    def mutations(self, checkpointing: bool) -> AbstractContextManager[Any]:
        """What forward and backward passes take place in: some networks' blocks write into their
        inputs, which backward passes need as they were. Computing blocks again needs no such."""
        if checkpointing or not self.architecture.WRITES:
            return nullcontext()
        return writes_allowed()

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
    flows = (sampling.ModelSamplingDiscreteFlow, sampling.ModelSamplingFlux)
    if isinstance(schedule, flows) and isinstance(schedule, sampling.CONST):
        return "flow"
    if _is_cosmos(schedule):
        return "flow"
    raise BadInput(
        f"The trainer does not know what this model ({type(model).__name__}) predicts at which "
        "timesteps: use one of the models that its --help names."
    )


def _is_cosmos(schedule: Any) -> bool:
    """Cosmos-Predict2's flow: levels are given as t / (1 - t), and latents are not scaled by it."""
    import comfy.model_sampling as sampling

    return isinstance(schedule, sampling.COSMOS_RFLOW)
