"""SoftREPAApply: an adapter on a model, in both branches of guidance."""

from __future__ import annotations

from comfy.model_patcher import ModelPatcher
from comfy_api.v0_0_2 import io

from .. import injection
from ..softrepa.adapter import Adapter
from ..softrepa.schedule import Schedule
from .types import SoftREPA
from .types import SoftREPASchedule as ScheduleType


class SoftREPAApply(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAApply",
            display_name="Apply SoftREPA",
            category="SoftREPA",
            description="Puts a SoftREPA adapter on a model, so that colours, numbers and places "
            "come out as the prompt says. Connect it like a LoRA, before the sampler.",
            inputs=[
                io.Model.Input("model", tooltip="The model the adapter was trained for."),
                *settings(),
                schedule_input(),
                strength_as_input(),
                io.Float.Input(
                    "negative_share",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    optional=True,
                    tooltip="How strong it is on the negative prompt, as a share of strength: 1 is "
                    "the same on both, 0 not at all. Guidance leads away from the negative prompt, "
                    "so a little less there leads further towards what the adapter has learned. "
                    "Try 0.6 with strength 0.8, or 0.5 with 1.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model with the adapter on it.")],
        )

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        adapter: Adapter,
        strength: float,
        start_percent: float,
        end_percent: float,
        layers: str,
        schedule: Schedule | None = None,
        strength_as: str = injection.STRENGTH_AS[0],
        negative_share: float = 1.0,
    ) -> io.NodeOutput:
        application = injection.make_application(
            model.model,
            adapter,
            strength,
            start_percent,
            end_percent,
            layers,
            schedule=schedule,
            strength_as=strength_as,
            negative_share=negative_share,
        )
        return io.NodeOutput(injection.apply(model, application))


def settings() -> list[io.Input]:
    """The inputs that both Apply nodes share."""
    return [
        SoftREPA.Input("adapter", tooltip="From Load SoftREPA Adapter."),
        io.Float.Input(
            "strength",
            default=1.0,
            min=-10.0,
            max=10.0,
            step=0.01,
            tooltip="1 is the adapter as trained, 0 the model without it. Values between "
            "compute the patched blocks twice, unless strength_as is attention.",
        ),
        io.Float.Input(
            "start_percent",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            tooltip="Share of the sampling schedule at which the adapter begins to act.",
        ),
        io.Float.Input(
            "end_percent",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.001,
            tooltip="Share of the sampling schedule at which the adapter ceases to act.",
        ),
        io.String.Input(
            "layers",
            default="",
            tooltip="Empty: all blocks it was trained for. Else numbers and ranges (0-2,4); "
            "for SD1.5 and SDXL input, middle, output or input.4; each with an "
            "optional weight (0-1:1.0,2-4:0.5). SD3 paints too many things? Try 0-1.",
        ),
    ]


def schedule_input() -> io.Input:
    """The optional input for a curve of strength."""
    return ScheduleType.Input(
        "schedule",
        optional=True,
        tooltip="From SoftREPA Schedule: strength over time and blocks, times the one above.",
    )


def strength_as_input() -> io.Input:
    """The optional input for what the strength is; workflows without it mean a blend."""
    return io.Combo.Input(
        "strength_as",
        options=list(injection.STRENGTH_AS),
        default=injection.STRENGTH_AS[0],
        optional=True,
        tooltip="blend: each patched block with and without the adapter, mixed; computed twice. "
        "attention: how often its tokens count in attention; computed once, and not below 0. Both "
        "give the same at 0 and 1, and much the same between.",
    )
