"""ComfyUI's own sampling over the golden models: small, seeded, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import comfy.sample
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.apply_conditioning import SoftREPAApplyConditioning
from comfyui_softrepa.softrepa.adapter import Adapter
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import seeded
from torch import Tensor

STEMS = {"sd15": "sd15_timed_100", "sdxl": "sdxl_110", "sd3": "sd3_d3l2_192_timed"}
_POOLED = {"sd15": 768, "sdxl": 1280, "sd3": 2048}


@dataclass(frozen=True)
class Studio:
    """One golden model with two prompts, an empty picture and an adapter with both banks."""

    arch: str
    model: Any
    positive: list[Any]
    negative: list[Any]
    latent: Tensor
    adapter: Adapter

    def prompt(self, name: str) -> list[Any]:
        """A conditioning of random embeddings that follow from the name."""
        width, length = (4096, 154) if self.arch == "sd3" else (self.adapter.width, 77)
        context = seeded(name, (1, length, width), 1)
        return [[context, {"pooled_output": seeded(name, (1, _POOLED[self.arch]), 2)}]]

    def on_model(self, model: Any = None, adapter: Adapter | None = None, **settings: Any) -> Any:
        """What SoftREPAApply gives."""
        chosen = _settings(settings)
        chosen.pop("bank")
        return SoftREPAApply.execute(model or self.model, adapter or self.adapter, **chosen).args[0]

    def on_prompt(self, prompt: list[Any], adapter: Adapter | None = None, **settings: Any) -> Any:
        """What SoftREPAApplyConditioning gives."""
        chosen = _settings(settings)
        return SoftREPAApplyConditioning.execute(prompt, adapter or self.adapter, **chosen).args[0]

    def sample(self, model: Any = None, **changes: Any) -> Run:
        """Samples as KSampler does. changes: positive, negative, latent, steps, cfg, seed,
        sampler, scheduler, mask, denoise."""
        recorder = Recorder()
        recorded = (model or self.model).clone()
        recorded.set_model_sampler_pre_cfg_function(recorder)
        latent = changes.get("latent", self.latent)
        seed = changes.get("seed", 0)
        result = comfy.sample.sample(
            recorded,
            comfy.sample.prepare_noise(latent, seed),
            changes.get("steps", 3),
            changes.get("cfg", 4.0),
            changes.get("sampler", "euler"),
            changes.get("scheduler", "simple"),
            changes.get("positive", self.positive),
            changes.get("negative", self.negative),
            latent,
            denoise=changes.get("denoise", 1.0),
            noise_mask=changes.get("mask"),
            disable_pbar=True,
            seed=seed,
        )
        return Run(result, recorder.calls)


@dataclass(frozen=True)
class Run:
    """What sampling gave: the latent, and both branches' predictions at every step."""

    latent: Tensor
    calls: list[tuple[Tensor, Tensor | None]]

    @property
    def cond(self) -> Tensor:
        """The first step's conditional prediction: before any step could make inputs differ."""
        return self.calls[0][0]

    @property
    def uncond(self) -> Tensor:
        return self.calls[0][1]


@dataclass
class Recorder:
    """A pre-CFG function that changes nothing."""

    calls: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)

    def __call__(self, args: dict[str, Any]) -> list[Tensor]:
        found = [None if out is None else out.clone() for out in args["conds_out"]]
        self.calls.append(tuple((*found, None)[:2]))
        return args["conds_out"]


def _settings(changes: dict[str, Any]) -> dict[str, Any]:
    defaults = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, "layers": ""}
    return {**defaults, "bank": "positive", **changes}


def studio(arch: str) -> Studio:
    """The studio of one architecture: "sd15", "sdxl" or "sd3"."""
    golden = golden_models.load(STEMS[arch])
    if arch == "sd3":
        adapter = adapters.random_adapter("mmdit", 192, 2, banks=2, scale=2.0)
    else:
        adapter = adapters.random_adapter("unet", golden.context.shape[-1], 1, banks=2, scale=1.0)
    channels = golden.x.shape[1]
    bare = Studio(arch, golden.patcher, [], [], torch.zeros(1, channels, 8, 8), adapter)
    return replace(bare, positive=bare.prompt("positive"), negative=bare.prompt("negative"))


def differs(found: Tensor, expected: Tensor, least: float = 1e-4) -> bool:
    """Whether two results are apart by more than rounding."""
    return golden_models.relative_error(found, expected) > least
