"""An adapter that rides on a conditioning, through ComfyUI's own conditioning hooks.

A conditioning knows no model: an `Unfitted` is what the user chose, and becomes an Application when
a sampler registers the conditioning's hooks, before its first step.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.hooks import (
    EnumHookScope,
    HookGroup,
    HookKeyframeGroup,
    TransformerOptionsHook,
    set_hooks_for_conditioning,
)
from comfy.patcher_extension import merge_nested_dicts

from ..softrepa.adapter import Adapter
from ..softrepa.errors import AdapterError
from ..softrepa.layers import parse_layers
from ..softrepa.schedule import Schedule
from .application import Application
from .patching import NEGATIVE_WEIGHT, STRENGTH_AS, in_attention, make_application
from .wrapper import model_options

FITTED = "softrepa_fitted"
"""In a run's `transformer_options`: hook id -> the Application that was fitted for this run."""


@dataclass(frozen=True, eq=False)
class Unfitted:
    """The arguments of `make_application` without the model.

    bank: 0 for psi+, 1 for psi-. Raises AdapterError where the adapter has no such bank, or
    `layers` cannot be read.
    """

    adapter: Adapter
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    layers: str = ""
    bank: int = 0
    schedule: Schedule | None = None
    strength_as: str = STRENGTH_AS[0]

    def __post_init__(self) -> None:
        in_attention(self.strength_as)
        if self.bank >= self.adapter.banks:
            raise AdapterError(
                "This adapter has no negative bank: choose positive, or an adapter that was "
                "trained with AGSM."
            )
        parse_layers(self.layers)

    def fit(self, model: torch.nn.Module) -> Application:
        """The Application for this `comfy.model_base.BaseModel`. Raises AdapterError."""
        return make_application(
            model,
            self.adapter,
            self.strength,
            self.start_percent,
            self.end_percent,
            self.layers,
            self.bank,
            self.schedule,
            self.strength_as,
        )


@dataclass(frozen=True, eq=False)
class Hooked:
    """What a hook puts beside the model's own Applications for one call."""

    hook_id: str
    unfitted: Unfitted
    factor: float

    def on(self, model: torch.nn.Module, options: Mapping[str, Any]) -> Application:
        """The Application for this call, as strong as the hook's keyframe says."""
        fitted = options.get(FITTED, {}).get(self.hook_id)
        # Nodes that evaluate a conditioning of their own do not always register its hooks.
        application = self.unfitted.fit(model) if fitted is None else fitted
        return application.scaled(self.factor)


class ConditioningHook(TransformerOptionsHook):
    """Adds an adapter to the calls made for the conditionings that carry this hook, and no other.

    ComfyUI clones hooks by calling the class without arguments and copying attributes.
    """

    def __init__(self, unfitted: Unfitted | None = None) -> None:
        super().__init__(transformers_dict={}, hook_scope=EnumHookScope.HookedOnly)
        self.hook_id = uuid.uuid4().hex
        self.unfitted = unfitted

    def clone(self) -> ConditioningHook:
        copy = super().clone()
        copy.unfitted = self.unfitted
        copy.hook_scope = self.hook_scope  # older versions do not copy it
        return copy

    def add_hook_patches(
        self, model: Any, model_options: dict[str, Any], target_dict: Any, registered: HookGroup
    ) -> bool:
        """Called once a run, before sampling. Raises AdapterError where the model does not fit.

        model: a `comfy.model_patcher.ModelPatcher`. model_options: a copy that lives for the run.
        """
        if not self.should_register(model, model_options, target_dict, registered):
            return False
        application = self.unfitted.fit(model.model).to(model.load_device)
        fitted = {"transformer_options": {FITTED: {self.hook_id: application}}}
        merge_nested_dicts(model_options, fitted, copy_dict1=False)
        registered.add(self)
        return True

    def on_apply_hooks(self, model: Any, transformer_options: dict[str, Any]) -> None:
        """Called for every call of the model that belongs to this hook's conditionings."""
        hooked = Hooked(self.hook_id, self.unfitted, self.hook_keyframe.strength)
        merge_nested_dicts(transformer_options, model_options(hooked), copy_dict1=False)


def attach(
    conditioning: list[Any], unfitted: Unfitted, keyframes: HookKeyframeGroup | None = None
) -> list[Any]:
    """A copy of the conditioning that carries the adapter, beside the hooks that it has already.

    keyframes: ComfyUI's hook keyframes, whose strength multiplies the adapter's. Raises
    AdapterError where one is below 0 and the strength a weight in attention.
    """
    if unfitted.strength == 0.0:
        return conditioning  # a hook would only split the batch
    group = HookGroup()
    group.add(ConditioningHook(unfitted))
    if keyframes is not None:
        least = min((keyframe.strength for keyframe in keyframes.keyframes), default=0.0)
        if least < 0.0 and in_attention(unfitted.strength_as):
            raise AdapterError(NEGATIVE_WEIGHT)
        group.set_keyframes_on_hooks(keyframes)
    return set_hooks_for_conditioning(conditioning, group)
