"""SoftREPATrain: from pictures with captions to an adapter, in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from comfy_api.v0_0_2 import io
from comfy_execution.graph import ExecutionBlocker
from PIL import Image

from ...training.errors import BadInput
from ...training.objectives import OBJECTIVES
from ...training.settings.recipes import RECIPES
from ..types import SoftREPA, SoftREPATrainSettings
from . import pictures
from .wording import TrainingError, check_name, worded

_NO_RECIPE = "none"


class SoftREPATrain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPATrain",
            display_name="Train SoftREPA Adapter",
            category="SoftREPA/training",
            description="Trains an adapter for this model on pictures with captions, and shows the "
            "curve meanwhile. Interrupted, it goes on where it was when it is run again.",
            inputs=[*_model(), *_essentials(), *_optional()],
            outputs=[
                SoftREPA.Output(
                    display_name="adapter",
                    tooltip="The trained adapter. Load SoftREPA Adapter lists its file too.",
                ),
                io.Image.Output(
                    display_name="curve", tooltip="Loss and accuracy over the steps of the run."
                ),
                io.Image.Output(
                    display_name="previews",
                    tooltip="The previews as one strip: a row a prompt, a column a step, the bare "
                    "model's first. Without previews, nothing that needs it runs.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
            is_output_node=True,
            is_input_list=True,
        )

    @classmethod
    def validate_inputs(cls, name: Any = None, folder: Any = None) -> bool | str:
        try:
            if isinstance(name, list) and name[0] is not None:
                check_name(name[0])
        except BadInput as error:
            return worded(str(error))
        return True

    @classmethod
    def fingerprint_inputs(cls, folder: Sequence[str | None] = (), **others: Any) -> str:
        return pictures.state_of(folder[0] or "") if folder else ""

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        # Imported here: the trainer would slow ComfyUI's start.
        from .run import Request, train

        lists = {key: inputs[key] for key in ("images", "captions") if inputs.get(key) is not None}
        given = lists | {k: value[0] for k, value in inputs.items() if value and k not in lists}
        try:
            flags = _flags(given, _data(given))
        except BadInput as error:
            raise TrainingError(worded(str(error))) from error
        hidden = cls.hidden
        request = Request(
            given["model"],
            given.get("clip"),
            given.get("vae"),
            flags,
            hidden.prompt or {},
            str(hidden.unique_id),
        )
        adapter, output, told = train(request)
        curve = _picture(output.plot)
        strip = ExecutionBlocker(None)
        if output.previews.is_file():
            strip = _picture(output.previews)
        return io.NodeOutput(adapter, curve, strip, ui={"softrepa_training": [told]})


def _data(given: dict[str, Any]) -> Path:
    images, captions = given.get("images"), given.get("captions")
    if images is None and captions is None:
        return pictures.folder_named(given.get("folder", ""))
    if images == [] or captions == []:
        raise BadInput("There are no pictures in the connected lists, or no captions: look there.")
    if not images or not captions:
        lacking = "captions" if images else "images"
        raise BadInput(f"Connect {lacking} too, a caption for each picture, or name a folder.")
    return pictures.write_folder(images, captions)


def _flags(given: dict[str, Any], data: Path) -> list[str]:
    """What the command would be given. Flags of the settings node come last, and win."""
    check_name(given["name"])
    further = list(given.get("settings", ()))
    resolution = given["resolution"]
    return [
        f"--data={data}",
        f"--output={given['name']}",
        f"--objective={given['objective']}",
        *([] if given["recipe"] == _NO_RECIPE else [f"--recipe={given['recipe']}"]),
        f"--steps={given['steps']}",
        f"--batch-size={given['batch_size']}",
        f"--learning-rate={given['learning_rate']!r}",
        *([f"--resolution={resolution}"] if resolution else []),
        f"--seed={given['seed']}",
        f"--val-fraction={given['validation']!r}",
        f"--preview-every={given.get('preview_every', 0)}",
        *(f"--preview-prompts={line}" for line in _lines(given.get("preview_prompts", ""))),
        *([] if "--overwrite" in further else ["--resume"]),
        *further,
    ]


def _lines(text: str) -> list[str]:
    # A line is a prompt here, never a file.
    return [f"{line.strip()} " for line in text.splitlines() if line.strip()]


def _picture(path: Path) -> torch.Tensor:
    with Image.open(path) as opened:
        pixels = numpy.asarray(opened.convert("RGB"), dtype=numpy.float32) / 255.0
    return torch.from_numpy(pixels).unsqueeze(0)


def _model() -> list[io.Input]:
    return [
        io.Model.Input(
            "model",
            tooltip="SD1.x, SD2.x, SDXL, SD3 or SD3.5, from any loader, with LoRAs on it or not.",
        ),
        io.Clip.Input(
            "clip", tooltip="The model's text encoders: train with those you paint with."
        ),
        io.Vae.Input("vae", tooltip="The model's own VAE."),
    ]


def _essentials() -> list[io.Input]:
    return [
        io.String.Input(
            "name",
            default="my_adapter",
            tooltip="The adapter's file in models/softrepa. A run of this name that was stopped is "
            "gone on with; other settings need another name.",
        ),
        io.String.Input(
            "folder",
            default="my_pictures",
            tooltip="A folder in ComfyUI's input: pictures, each with a .txt of its name that says "
            "what is visible. Not used where images and captions are connected.",
        ),
        io.Combo.Input(
            "objective",
            options=sorted(OBJECTIVES),
            default="softrepa",
            tooltip="softrepa tells captions apart; agsm, its successor, asks for less care and "
            "does not over-count; dpo learns from pictures with a worse one beside them, "
            "NAME.lose.png.",
        ),
        io.Combo.Input(
            "recipe",
            options=[_NO_RECIPE, *RECIPES],
            default="recommended",
            tooltip="recommended: what our own trials prefer. published: as SoftREPA's authors "
            "train. Inputs here and in the settings win over it.",
        ),
        io.Int.Input(
            "steps",
            default=400,
            min=1,
            max=1_000_000,
            tooltip="A finished run can be taken further by more.",
        ),
        io.Int.Input(
            "batch_size",
            default=8,
            min=2,
            max=4096,
            tooltip="Pictures a step; each is told apart from the others' captions, so a step "
            "costs the square of it.",
        ),
        io.Float.Input(
            "learning_rate",
            default=0.001,
            min=0.0,
            max=1.0,
            step=0.0001,
            round=0.0000001,
            tooltip="Of AdamW.",
        ),
        io.Int.Input(
            "resolution",
            default=0,
            min=0,
            max=4096,
            step=8,
            tooltip="Side of the square that pictures are cropped to. 0: the model's, 512, or 1024 "
            "for SDXL.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**63 - 1,
            control_after_generate=False,
            tooltip="Equal seeds give equal adapters on a CPU.",
        ),
        io.Float.Input(
            "validation",
            default=0.05,
            min=0.0,
            max=0.5,
            step=0.01,
            round=0.001,
            tooltip="Share of the pairs held out to judge by: their curve turns where training "
            "should end.",
        ),
    ]


def _optional() -> list[io.Input]:
    return [
        io.Image.Input(
            "images",
            optional=True,
            tooltip="Pictures of other nodes in place of a folder: a list or a batch.",
        ),
        io.String.Input(
            "captions",
            optional=True,
            force_input=True,
            tooltip="A caption for each of the images, in their order.",
        ),
        SoftREPATrainSettings.Input(
            "settings", optional=True, tooltip="All else that the trainer can be told."
        ),
        io.Int.Input(
            "preview_every",
            default=100,
            min=0,
            max=1_000_000,
            optional=True,
            tooltip="Steps between previews, painted without and with the adapter at equal seeds. "
            "0: none.",
        ),
        io.String.Input(
            "preview_prompts",
            default="",
            multiline=True,
            optional=True,
            tooltip="What to paint, a prompt a line. Empty: two captions of the pictures.",
        ),
    ]
