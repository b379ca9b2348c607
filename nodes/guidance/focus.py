"""SoftREPAFocus: SD3's predictions bent so that the things of a prompt keep apart."""

from __future__ import annotations

from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy_api.v0_0_2 import io

from ... import guidance


class SoftREPAFocus(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAFocus",
            display_name="FOCUS",
            category="SoftREPA/guidance",
            description="Keeps the things of a prompt apart while SD3 or SD3.5 paints them, with "
            "or without an adapter. Connect it last, before the sampler; its prompt must be the "
            "sampler's. Each step takes several times as long.",
            inputs=[
                io.Model.Input("model", tooltip="An SD3 or SD3.5 model."),
                io.Clip.Input("clip", tooltip="The CLIP that encodes the sampler's prompt."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    tooltip="The sampler's positive prompt, the same text: connect one to both.",
                ),
                io.String.Input(
                    "words",
                    default="",
                    tooltip="The things to keep apart, two or more, in the prompt's words and "
                    "letters: red cat, blue dog. Empty: nouns are recognised by a simple rule for "
                    "English; the output words says which.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How strongly; 0 is the model without it. Its authors try 1 to 5.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model whose predictions keep these things apart."),
                io.String.Output(
                    display_name="words",
                    tooltip="What is kept apart: connect a node that shows text.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model: ModelPatcher, clip: Any, prompt: str, words: str, strength: float
    ) -> io.NodeOutput:
        plan = guidance.plan_focus(model.model, clip, prompt, words, strength)
        return io.NodeOutput(guidance.apply_focus(model, plan), plan.words)
