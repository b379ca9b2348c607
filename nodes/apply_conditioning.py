"""SoftREPAApplyConditioning: an adapter on a conditioning, for one branch, region or prompt."""

from __future__ import annotations

from typing import Any

from comfy.hooks import HookKeyframeGroup
from comfy_api.v0_0_2 import io

from .. import injection
from ..softrepa.adapter import Adapter
from ..softrepa.errors import AdapterError
from ..softrepa.schedule import Schedule
from . import apply

BANKS = ("positive", "negative")


class SoftREPAApplyConditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAApplyConditioning",
            display_name="Apply SoftREPA to Conditioning",
            category="SoftREPA",
            description="Puts a SoftREPA adapter on one prompt only: one guidance branch, one "
            "region, or one part of a prompt schedule. To give it to the whole picture, Apply "
            "SoftREPA on the model is faster.",
            inputs=[
                io.Conditioning.Input(
                    "conditioning", tooltip="The prompt that gets the adapter; others keep theirs."
                ),
                *apply.settings(),
                io.Combo.Input(
                    "bank",
                    options=list(BANKS),
                    default=BANKS[0],
                    tooltip="Adapters trained with AGSM hold a second, negative set of tokens, "
                    "which can be put on the negative prompt.",
                ),
                apply.schedule_input(),
                io.HookKeyframes.Input(
                    "hook_kf",
                    optional=True,
                    tooltip="ComfyUI's hook keyframes: their strength multiplies this one.",
                ),
                apply.strength_as_input(),
            ],
            outputs=[io.Conditioning.Output(tooltip="The prompt with the adapter on it.")],
        )

    @classmethod
    def execute(
        cls,
        conditioning: list[Any],
        adapter: Adapter,
        strength: float,
        start_percent: float,
        end_percent: float,
        layers: str,
        bank: str,
        schedule: Schedule | None = None,
        hook_kf: HookKeyframeGroup | None = None,
        strength_as: str = injection.STRENGTH_AS[0],
    ) -> io.NodeOutput:
        if bank not in BANKS:  # older versions of ComfyUI let any text pass
            raise AdapterError(f'"{bank}" is no bank: choose among {", ".join(BANKS)}.')
        unfitted = injection.Unfitted(
            adapter,
            strength,
            start_percent,
            end_percent,
            layers,
            BANKS.index(bank),
            schedule,
            strength_as,
        )
        return io.NodeOutput(injection.attach(conditioning, unfitted, hook_kf))
