"""SoftREPABlend: one adapter out of two."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ...softrepa.adapter import Adapter
from ...softrepa.blend import concatenate, weighted_sum
from ...softrepa.errors import AdapterError
from ..types import SoftREPA

MODES = ("weighted sum", "concatenate")


class SoftREPABlend(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPABlend",
            display_name="Blend SoftREPA Adapters",
            category="SoftREPA",
            description="Makes one adapter out of two for the same model: a weighted sum of their "
            "tokens, or all tokens of both side by side. Adapters that cannot be blended can "
            "still be applied one after the other.",
            inputs=[
                SoftREPA.Input("adapter_1", tooltip="The first adapter."),
                SoftREPA.Input("adapter_2", tooltip="The second, trained for the same model."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=MODES[0],
                    tooltip="weighted sum: as many tokens as each has. concatenate: the tokens of "
                    "both; the weights play no part.",
                ),
                _weight("weight_1", "first"),
                _weight("weight_2", "second"),
            ],
            outputs=[SoftREPA.Output(display_name="adapter", tooltip="The blended adapter.")],
        )

    @classmethod
    def execute(
        cls, adapter_1: Adapter, adapter_2: Adapter, mode: str, weight_1: float, weight_2: float
    ) -> io.NodeOutput:
        if mode == "concatenate":
            return io.NodeOutput(concatenate(adapter_1, adapter_2))
        if mode != "weighted sum":  # older versions of ComfyUI let any text pass
            raise AdapterError(f'"{mode}" is no way to blend: choose among {", ".join(MODES)}.')
        return io.NodeOutput(weighted_sum(adapter_1, adapter_2, (weight_1, weight_2)))


def _weight(name: str, which: str) -> io.Input:
    return io.Float.Input(
        name,
        default=0.5,
        min=-10.0,
        max=10.0,
        step=0.01,
        tooltip=f"The {which} adapter's share in a weighted sum.",
    )
