"""SoftREPAAttendAndExcite: sampling that looks after the words of its prompt."""

from __future__ import annotations

from typing import Any

from comfy.model_patcher import ModelPatcher
from comfy_api.v0_0_2 import io

from ... import guidance


class SoftREPAAttendAndExcite(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAAttendAndExcite",
            display_name="Attend-and-Excite",
            category="SoftREPA/guidance",
            description="Looks after the words of a prompt while it is painted, so that nothing "
            "is left out: SD1.x, SD2.x and SDXL, with or without an adapter. Connect it last, "
            "before the sampler; its prompt must be the sampler's. Steps take several times as "
            "long while it acts.",
            inputs=[
                io.Model.Input("model", tooltip="An SD1.x, SD2.x or SDXL model."),
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
                    tooltip="The things to look after, in the prompt's words: red cat, blue dog. "
                    "The last word is the thing. Empty: nouns are recognised by a simple rule for "
                    "English; the output words says which.",
                ),
                io.Combo.Input(
                    "loss",
                    options=list(guidance.LOSSES),
                    default="published",
                    tooltip="published: the thing that is attended to least is attended to more. "
                    "pairs (SynGen): a thing and what is said of it lie at one place, away from "
                    "other words. overlap: things lie apart; for two or more.",
                ),
                io.Float.Input(
                    "step_size",
                    default=20.0,
                    min=0.0,
                    max=1000.0,
                    step=0.5,
                    tooltip="How far the picture is moved at a step; 20 is published. Too much "
                    "leaves flat or broken pictures.",
                ),
                io.Float.Input(
                    "share_of_steps",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the sampler's steps, from the first, in which it acts.",
                ),
                io.String.Input(
                    "thresholds",
                    default="0:0.05, 0.2:0.5, 0.4:0.8",
                    tooltip="For published only. Share of the steps : attention that every thing "
                    "must have there; the picture is moved until it has. Empty for none.",
                ),
                io.Int.Input(
                    "tries",
                    default=20,
                    min=0,
                    max=100,
                    tooltip="How often at most the picture is moved at a threshold.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model whose sampling looks after these words."),
                io.String.Output(
                    display_name="words",
                    tooltip="What is looked after: connect a node that shows text.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        clip: Any,
        prompt: str,
        words: str,
        loss: str,
        step_size: float,
        share_of_steps: float,
        thresholds: str,
        tries: int,
    ) -> io.NodeOutput:
        plan = guidance.plan(
            model.model,
            clip,
            prompt,
            words,
            loss=loss,
            step_size=step_size,
            share=share_of_steps,
            thresholds=guidance.parse_thresholds(thresholds),
            tries=tries,
        )
        return io.NodeOutput(guidance.apply(model, plan), plan.words)
