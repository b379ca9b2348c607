"""SoftREPAFlowEdit: changes a picture from what one prompt says to what another says."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import latent_preview
from comfy.model_patcher import ModelPatcher
from comfy_api.v0_0_2 import io

from ..editing.sampler import CONVENTIONS, METHODS, EditSampler, Guidance, run
from ..editing.stepping import Plan


class SoftREPAFlowEdit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAFlowEdit",
            display_name="SoftREPA FlowEdit",
            category="SoftREPA/editing",
            description="Edits a picture with a flow model (SD3, Flux and others), from what the "
            "source prompt says to what the target prompt says. Stands where KSampler stands, and "
            "needs no inversion. An adapter, a LoRA or a patch on the model acts in all "
            "predictions.",
            inputs=[*_model(), *_steps(), *_guidance()],
            outputs=[io.Latent.Output(tooltip="The edited picture, for VAE Decode.")],
        )

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        source: list[Any],
        target: list[Any],
        negative: list[Any],
        latent_image: dict[str, Any],
        seed: int,
        steps: int,
        scheduler: str,
        n_min: int,
        n_max: int,
        n_avg: int,
        source_cfg: float,
        target_cfg: float,
        target_guidance: str,
        method: str,
        zeta: float,
    ) -> io.NodeOutput:
        sampler = EditSampler(
            Plan(n_min, n_max, n_avg),
            Guidance(source_cfg, target_cfg, target_guidance),
            method,
            zeta,
            seed,
            latent_image.get("batch_index"),
        )
        callback = latent_preview.prepare_callback(model, min(steps, n_max))
        prompts, schedule = (source, target, negative), (scheduler, steps)
        return io.NodeOutput(run(model, prompts, latent_image, schedule, sampler, callback))


def _model() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="A flow model, with an adapter or LoRA on it or not."),
        io.Conditioning.Input("source", tooltip="What the picture shows now."),
        io.Conditioning.Input("target", tooltip="What it is to show."),
        io.Conditioning.Input(
            "negative", tooltip="What guidance leads away from; an empty prompt, mostly."
        ),
        io.Latent.Input(
            "latent_image",
            tooltip="The picture to edit, from VAE Encode. Outside a noise mask it stays as it is.",
        ),
    ]


def _steps() -> list[io.Input]:
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            control_after_generate=True,
            tooltip="All noise comes from it: the same seed gives the same edit.",
        ),
        io.Int.Input("steps", default=50, min=1, max=10000, tooltip="Of the whole schedule."),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            default="normal",
            tooltip="As in KSampler; normal is the authors'.",
        ),
        io.Int.Input(
            "n_min",
            default=0,
            min=0,
            max=10000,
            tooltip="So many of the last steps are ordinary sampling under the target prompt: more "
            "of them change the style and the details too.",
        ),
        io.Int.Input(
            "n_max",
            default=33,
            min=0,
            max=10000,
            tooltip="So many of the last steps take part. Fewer keep more of the picture.",
        ),
        io.Int.Input(
            "n_avg",
            default=1,
            min=1,
            max=100,
            tooltip="Each step averages over so many noises: calmer, and as many times slower.",
        ),
    ]


def _guidance() -> list[io.Input]:
    return [
        io.Float.Input(
            "source_cfg",
            default=3.5,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.01,
            tooltip="Guidance towards the source prompt. FlowAlign does not use it.",
        ),
        io.Float.Input(
            "target_cfg",
            default=13.5,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.01,
            tooltip="Guidance towards the target prompt: higher changes more.",
        ),
        io.Combo.Input(
            "target_guidance",
            options=list(CONVENTIONS),
            default=CONVENTIONS[0],
            tooltip="How target_cfg, s, counts. The first is the usual way; the second is that of "
            "SoftREPA's authors, the usual way with s + 1.",
        ),
        io.Combo.Input(
            "method",
            options=list(METHODS),
            default=METHODS[0],
            tooltip="FlowAlign keeps more of the picture: it guides from the source prompt, and "
            "pulls the result towards the source. Set steps and n_max to 33.",
        ),
        io.Float.Input(
            "zeta",
            default=0.01,
            min=0.0,
            max=1.0,
            step=0.001,
            round=0.0001,
            tooltip="FlowAlign only: how strongly it pulls.",
        ),
    ]
