"""The `APPLY_MODEL` wrapper: builds the tokens once a call and patches a copy of the options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..softrepa.tokens import soft_tokens
from .application import Application
from .architectures import architecture_of
from .blocks.attention_weight import MADE

PATCHES = "softrepa"
"""The name of our slot in `transformer_options["patches"]` and among the wrappers."""


def apply_model(
    executor: Callable[..., Tensor],
    x: Tensor,
    sigma: Tensor,
    c_concat: Tensor | None = None,
    c_crossattn: Tensor | None = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Tensor:
    """Runs the model with the tokens of every Application in its options. Keeps no state."""
    options = transformer_options or {}
    applications = options.get("patches", {}).get(PATCHES, ())
    if applications:
        # Taken out of the copy, so that a second wrapper of ours (one from the model, one from a
        # conditioning) finds nothing left to do.
        options = {**options, "patches": {**options["patches"], PATCHES: []}, MADE: {}}
        for application in applications:
            model = executor.class_obj
            _add(options, application.on(model, options), model, sigma)
    return executor(x, sigma, c_concat, c_crossattn, control, options, **kwargs)


def _add(
    options: dict[str, Any], application: Application, model: torch.nn.Module, sigma: Tensor
) -> None:
    if not application.blocks or not application.active(sigma, model.model_sampling):
        return
    architecture = architecture_of(model)
    application = application.to(sigma.device)
    adapter = application.adapter
    tokens = soft_tokens(
        adapter,
        model.model_sampling.timestep(sigma).float(),
        application.bank,
        architecture.embedder(adapter, model, _compute_dtype(model)),
        architecture.bucket,
    )
    chunks = options.get("cond_or_uncond") or ()
    blocks = application.blocks_at(sigma, model.model_sampling, chunks)
    architecture.add_patches(options, model, adapter, tokens, blocks)


def _compute_dtype(model: torch.nn.Module) -> torch.dtype:
    return model.manual_cast_dtype or model.get_dtype()


def model_options(*applications: Application) -> dict[str, Any]:
    """These applications as a `transformer_options` dict, for a direct call of a model."""
    return {
        "patches": {PATCHES: list(applications)},
        "wrappers": {WrappersMP.APPLY_MODEL: {PATCHES: [apply_model]}},
    }
