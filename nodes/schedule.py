"""SoftREPASchedule: strength over the sampling schedule and over blocks."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..softrepa.schedule import INTERPOLATIONS, Schedule, parse_curve
from .types import SoftREPASchedule as ScheduleType


class SoftREPASchedule(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPASchedule",
            display_name="SoftREPA Schedule",
            category="SoftREPA",
            description="How strong an adapter is at each part of the sampling, and in which "
            "blocks. Multiplies the strength of the Apply node it is connected to.",
            inputs=[
                io.String.Input(
                    "keyframes",
                    default="0:1, 0.5:1, 1:0",
                    multiline=True,
                    tooltip="Share of the sampling schedule : strength. Bare strengths (1, 0.8, 0) "
                    "are spread evenly.",
                ),
                io.Combo.Input(
                    "interpolation",
                    options=list(INTERPOLATIONS),
                    default=INTERPOLATIONS[0],
                    tooltip="Between two keyframes: a straight line, a smooth one, or the "
                    "first's strength up to the second.",
                ),
                io.String.Input(
                    "layers",
                    default="",
                    tooltip="The blocks this is for, written as in the Apply nodes; empty for all. "
                    "Blocks that no schedule is for keep the strength of the Apply node.",
                ),
                ScheduleType.Input(
                    "schedule",
                    optional=True,
                    tooltip="A schedule for other blocks; where both are for a block, this node's "
                    "counts.",
                ),
            ],
            outputs=[
                ScheduleType.Output(
                    display_name="schedule", tooltip="For the schedule input of an Apply node."
                )
            ],
        )

    @classmethod
    def execute(
        cls, keyframes: str, interpolation: str, layers: str, schedule: Schedule | None = None
    ) -> io.NodeOutput:
        earlier = schedule.curves if schedule is not None else ()
        return io.NodeOutput(Schedule((*earlier, parse_curve(keyframes, interpolation, layers))))
