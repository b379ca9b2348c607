"""SoftREPATrial: paints what a trial compares, picture by picture, and goes on where it was."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.v0_0_2 import io

from ...evaluation.painting import request
from ...evaluation.painting.request import ARMS
from ..types import SoftREPATrial as TrialType


class SoftREPATrial(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPATrial",
            display_name="SoftREPA Trial",
            category="SoftREPA/evaluation",
            description="Paints the same prompts and seeds with two to eight models, so that they "
            "can be held against each other: with and without an adapter, or an adapter against a "
            "LoRA. Stopped at any time, it goes on at the next picture.",
            inputs=[*_first(), *_settings(), *_more()],
            outputs=[
                TrialType.Output(
                    display_name="trial", tooltip="The trial's folder, for scores and the report."
                )
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
            is_output_node=True,
            is_input_list=True,
        )

    @classmethod
    def validate_inputs(
        cls, name: Any = None, prompts: Any = None, seeds: Any = None, arm_names: Any = None
    ) -> bool | str:
        return request.objection(name, prompts, seeds, arm_names)

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        return request.state(inputs)

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        hidden = cls.hidden
        trial, painted = request.paint(
            inputs, hidden.prompt or {}, hidden.unique_id, hidden.extra_pnginfo
        )
        return io.NodeOutput(trial.folder, ui=request.shown(trial, painted))


def _first() -> list[io.Input]:
    return [
        io.Model.Input(
            "model_1", tooltip="The base that the others are held against: the bare model, mostly."
        ),
        io.Model.Input("model_2", tooltip="The model to compare: with an adapter, a LoRA, PAG."),
        io.Vae.Input("vae", tooltip="Decodes the pictures of all models."),
    ]


def _settings() -> list[io.Input]:
    return [
        io.String.Input(
            "name",
            default="does it help",
            tooltip="The trial's folder below output/softrepa/trials. A trial that is there "
            "already is gone on with; other settings need another name.",
        ),
        io.String.Input(
            "prompts",
            default="[number]\nthree red apples on a table\n[colour]\na blue cat beside a red dog",
            multiline=True,
            tooltip="One prompt a line; a line such as [number] gives those below it a category. "
            "Or suite-en or suite-ja, 240 prompts that come with the pack; or the name of a .txt, "
            ".csv, .tsv or .jsonl file in ComfyUI's input folder.",
        ),
        io.String.Input(
            "negative_prompt",
            default="",
            multiline=True,
            tooltip="The same for every prompt and model.",
        ),
        io.String.Input(
            "seeds",
            default="1-2",
            tooltip="Numbers and ranges (1-4, 7). Every prompt is painted with each of them, from "
            "equal noise for all models.",
        ),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="As in KSampler."),
        io.Float.Input(
            "cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="As in KSampler."
        ),
        io.Combo.Input(
            "sampler_name",
            options=comfy.samplers.KSampler.SAMPLERS,
            default="euler",
            tooltip="As in KSampler.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            default="normal",
            tooltip="As in KSampler.",
        ),
        io.Int.Input("width", default=1024, min=16, max=16384, step=8, tooltip="In pixels."),
        io.Int.Input("height", default=1024, min=16, max=16384, step=8, tooltip="In pixels."),
        io.String.Input(
            "arm_names",
            default="",
            multiline=True,
            tooltip="What the models are called in the report, one a line, in their order. Empty: "
            "each after its adapter or LoRA.",
        ),
    ]


def _more() -> list[io.Input]:
    clip = io.Clip.Input(
        "clip",
        optional=True,
        tooltip="Encodes the prompts, for every model whose text input is open.",
    )
    models = [
        io.Model.Input(f"model_{at}", optional=True, tooltip="One more model to compare.")
        for at in range(3, ARMS + 1)
    ]
    texts = [
        io.MultiType.Input(
            f"text_{at}",
            types=[io.Clip, io.Conditioning],
            optional=True,
            tooltip=f"For model_{at} alone: a CLIP that encodes the prompts (a LoRA's), or a "
            "finished conditioning in their place, one for all prompts or a list of one each.",
        )
        for at in range(1, ARMS + 1)
    ]
    negatives = [
        io.Conditioning.Input(
            f"negative_{at}",
            optional=True,
            tooltip=f"For model_{at} alone: a finished conditioning in place of the negative "
            "prompt.",
        )
        for at in range(1, ARMS + 1)
    ]
    return [clip, *models, *texts, *negatives]
