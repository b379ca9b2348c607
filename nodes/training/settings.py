"""SoftREPATrainSettings: all flags of the trainer that SoftREPATrain has no input for.

They are taken from the command's own table: a flag that is added there is an input here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from ...training.errors import BadInput
from ...training.objectives import OBJECTIVES
from ...training.settings import kinds
from ...training.settings.command_line import read_settings
from ...training.settings.flags import parser
from ..types import SoftREPATrainSettings as SettingsType
from . import pictures
from .wording import TrainingError, worded

INPUTS_OF_TRAIN = {
    *("data", "output", "objective", "recipe", "steps", "batch_size", "learning_rate"),
    *("resolution", "seed", "val_fraction", "preview_prompts", "preview_every"),
}
SETTLED = {
    *("help", "config", "comfyui", "base_directory", "extra_model_paths_config", "cpu"),
    *("checkpoint", "model", "text_encoder", "vae", "cache", "resume", "dry_run"),
}
"""Flags that a graph has no use for: its own links, and what ComfyUI has settled already."""
_SAID = {
    "data": "Further folders in ComfyUI's input, a name a line, beside the one of Train SoftREPA "
    "Adapter.",
    "data_weight": "How often the pictures of each folder are shown against those of the others, a "
    "number a line: first that of Train SoftREPA Adapter's folder, then those named here.",
}
"""Of flags that mean another thing beside that node's inputs than alone."""
_BY_MODEL = "auto"
_MOST = 1_000_000_000
"""Of a number without an upper bound."""


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
        further = action.dest == "data" and _repeated(action)
        if further or action.dest not in INPUTS_OF_TRAIN | SETTLED:
            yield action


def _input(action: argparse.Action) -> io.Input:
    """A widget for a flag; one whose default is the model's is empty, auto or `_unset`."""
    default, name, tooltip = action.default, action.dest, _tooltip(action)
    if action.nargs == 0 and default is not None:
        return io.Boolean.Input(name, default=default, optional=True, tooltip=tooltip)
    if isinstance(action.type, kinds.Number) and not _repeated(action):
        return _number(action, action.type, tooltip)
    if action.nargs == 0 or action.choices:
        choices = ["yes", "no"] if action.nargs == 0 else list(dict.fromkeys(action.choices))
        if default is None:
            choices = [_BY_MODEL, *(each for each in choices if each != _BY_MODEL)]
        return io.Combo.Input(
            name, options=choices, default=default or _BY_MODEL, optional=True, tooltip=tooltip
        )
    return io.String.Input(
        name,
        default="" if default is None else str(default),
        multiline=name == "description" or _repeated(action),
        optional=True,
        tooltip=tooltip,
    )


def _number(action: argparse.Action, kind: kinds.Number, tooltip: str) -> io.Input:
    unset = _unset(action)
    least, most = kind.least if unset is None else unset, min(kind.most, _MOST)
    default = action.default if unset is None else unset
    if kind.kind is int:
        return io.Int.Input(
            action.dest, default=int(default), min=int(least), max=int(most),
            control_after_generate=False, optional=True, tooltip=tooltip,
        )  # fmt: skip
    return io.Float.Input(
        action.dest, default=default, min=least, max=most, step=_step(action), round=1e-7,
        optional=True, tooltip=tooltip,
    )  # fmt: skip


def _step(action: argparse.Action) -> float:
    """As fine as a usual value is: the front-end shows so many digits."""
    if action.dest.endswith("learning_rate"):
        return 1e-5
    digits = f"{action.default or 0:.9f}".rstrip("0").partition(".")[2]
    return 10.0 ** -max(2, len(digits))


def _unset(action: argparse.Action) -> int | None:
    """The number that leaves a flag as it is, where no number is its default."""
    kind = action.type
    if not isinstance(kind, kinds.Number) or _repeated(action):
        return None
    if isinstance(action.default, int | float):
        return None
    return 0 if kind.least > 0 else -1


def _tooltip(action: argparse.Action) -> str:
    if action.dest in _SAID:
        return _SAID[action.dest]
    help_ = (action.help or "") % {"default": action.default}
    first = help_.split(":")[0].split(" ")[0]
    literal = first in OBJECTIVES or first in (action.choices or ())
    said = help_[:1] + worded(f"x{help_[1:]}")[1:] if literal else worded(help_)
    unset = _unset(action)
    return said if unset is None else f"{said}; {unset} for the default"


def _repeated(action: argparse.Action) -> bool:
    """Whether the flag may be given several times: a line each, then."""
    return isinstance(action, argparse._AppendAction)


def _flags(values: dict[str, Any]) -> tuple[str, ...]:
    """The flags of what differs from the defaults. Raises BadInput, as the command would."""
    found = []
    for action in _actions():
        value = values.get(action.dest)
        flag, negated = action.option_strings[0], action.option_strings[-1]
        if value is None or value in ("", _BY_MODEL, action.default) or _is_unset(action, value):
            continue
        if value is True or value == "yes":
            found.append(flag)
        elif value is False or value == "no":
            found.append(negated)
        else:
            lines = str(value).splitlines() if _repeated(action) else [str(value)]
            found += [f"{flag}={_said(action, line)}" for line in lines if line.strip()]
    # Checked here, so that the sentence stands at the node that is to be changed.
    read_settings(["--checkpoint=graph", "--data=folder", "--val-fraction=0.1", *found])
    return tuple(found)


def _is_unset(action: argparse.Action, value: Any) -> bool:
    unset = _unset(action)
    return unset is not None and not isinstance(value, str) and value == unset


def _said(action: argparse.Action, value: str) -> str:
    if action.dest == "data":
        return str(pictures.folder_named(value))
    return str(_file(value)) if action.type is kinds.path else " ".join(value.split())


def _file(name: str) -> Path:
    """A file below ComfyUI's input folder."""
    folder, _, own = name.replace("\\", "/").rpartition("/")
    path = (pictures.folder_named(folder) if folder else pictures.input_folder()) / own
    if own in ("", "..") or not path.is_file():
        raise BadInput(f"There is no file {name} in ComfyUI's input folder: put it there.")
    return path
