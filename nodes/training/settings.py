"""SoftREPATrainSettings: all flags of the trainer that SoftREPATrain has no input for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from ...training.errors import BadInput
from ...training.settings.command_line import read_settings
from ...training.settings.flags import parser
from ..types import SoftREPATrainSettings as SettingsType
from . import pictures
from .wording import TrainingError, worded

_ELSEWHERE = {
    *("help", "config", "comfyui", "base_directory", "extra_model_paths_config", "cpu"),
    *("checkpoint", "model", "text_encoder", "vae", "output", "cache", "recipe"),
    *("objective", "steps", "batch_size", "learning_rate", "resolution", "seed", "val_fraction"),
    *("preview_prompts", "preview_every", "resume", "dry_run"),
}
"""Inputs of SoftREPATrain, what ComfyUI has settled already, and what has no sense in a graph."""
_FILES = ("hard_words", "thumbnail")
_LISTS = {
    "data": "Further folders in ComfyUI's input, a name a line, beside the one of Train SoftREPA "
    "Adapter.",
    "data_weight": "How often the pictures of each folder are shown against those of the others, a "
    "number a line: first that of Train SoftREPA Adapter's folder, then those named here.",
}
"""Flags that may be given several times: a line each."""
_BY_MODEL = "auto"


class SoftREPATrainSettings(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPATrainSettings",
            display_name="SoftREPA Train Settings",
            category="SoftREPA/training",
            description="Everything else that training can be told. What is left as it is, or "
            "empty, is as the papers have it for the model's family.",
            inputs=[_input(action) for action in _actions()],
            outputs=[
                SettingsType.Output(display_name="settings", tooltip="For Train SoftREPA Adapter.")
            ],
        )

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        try:
            return io.NodeOutput(_flags(values))
        except BadInput as error:
            raise TrainingError(worded(str(error))) from error


def _actions() -> Iterator[argparse.Action]:
    for action in parser()._actions:
        if action.dest not in _ELSEWHERE:
            yield action


def _input(action: argparse.Action) -> io.Input:
    """A widget for a flag; one whose default depends on the model is left empty, or auto."""
    default, name = action.default, action.dest
    tooltip = _LISTS.get(name) or worded((action.help or "") % {"default": default})
    if isinstance(action, argparse.BooleanOptionalAction) and default is not None:
        return io.Boolean.Input(name, default=default, optional=True, tooltip=tooltip)
    if isinstance(action, argparse.BooleanOptionalAction):
        choices = [_BY_MODEL, "yes", "no"]
        return io.Combo.Input(
            name, options=choices, default=_BY_MODEL, optional=True, tooltip=tooltip
        )
    if action.choices:
        own = [] if default is not None else [_BY_MODEL]
        options = [*own, *(str(e) for e in dict.fromkeys(action.choices) if e not in own)]
        return io.Combo.Input(
            name,
            options=options,
            default=str(default or _BY_MODEL),
            optional=True,
            tooltip=tooltip,
        )
    shown = "" if default is None else f"{default:g}" if isinstance(default, float) else default
    return io.String.Input(
        name,
        default=str(shown),
        multiline=name == "description" or name in _LISTS,
        optional=True,
        tooltip=tooltip,
    )


def _flags(values: dict[str, Any]) -> tuple[str, ...]:
    """The flags of what differs from the defaults. Raises BadInput, as the command would."""
    found = []
    for action in _actions():
        value = values.get(action.dest)
        flag, negated = action.option_strings[0], action.option_strings[-1]
        if value in (None, "", _BY_MODEL, action.default, str(action.default)):
            continue
        if value is True or value == "yes":
            found.append(flag)
        elif value is False or value == "no":
            found.append(negated)
        elif action.dest in _LISTS:
            lines = [line.strip() for line in str(value).splitlines() if line.strip()]
            folders = action.dest == "data"
            found += [f"{flag}={pictures.folder_named(x) if folders else x}" for x in lines]
        elif action.dest in _FILES:
            found.append(f"{flag}={_file(str(value))}")
        else:
            found.append(f"{flag}={' '.join(str(value).split())}")
    # Checked here, so that the sentence stands at the node that is to be changed.
    read_settings(["--checkpoint=graph", "--data=folder", "--val-fraction=0.1", *found])
    return tuple(found)


def _file(name: str) -> Path:
    """A file below ComfyUI's input folder."""
    folder, _, own = name.replace("\\", "/").rpartition("/")
    path = (pictures.folder_named(folder) if folder else pictures.input_folder()) / own
    if own in ("", "..") or not path.is_file():
        raise BadInput(f"There is no file {name} in ComfyUI's input folder: put it there.")
    return path
