"""Flags and the config file that they name, as one value."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.archives.storage import is_remote
from ..data.reading.text_files import read_toml
from ..errors import BadInput
from .flags import Parser, parser
from .paths import expanded
from .recipes import OF_CAPTIONS, OF_FAMILY, OF_OBJECTIVE, flags_of
from .values import Settings, compares, flag

_PROSE = ("title", "description", "author")
_ESCAPED = "\b\t\n\f\r\x1b"
"""What TOML makes of a backslash and a letter, as in "C:\\new"."""
_REPEATABLE = (
    "data",
    "data-weight",
    "text-encoder",
    "extra-model-paths-config",
    "preview-prompts",
)
_PATHS = (
    "data",
    "cache",
    "comfyui",
    "base-directory",
    "extra-model-paths-config",
    "hard-words",
    "thumbnail",
)


def read_settings(arguments: list[str]) -> Settings:
    """Settings from a command line and the config file it names. Raises BadInput."""
    made = parser()
    config = _config_of(arguments)
    configured = _as_flags(config, arguments) if config else []
    given = vars(made.parse_args([*configured, *arguments]))
    if given["recipe"] is not None:
        given = _with_recipe(made, given["recipe"], [*configured, *arguments])
    given.pop("config")
    for name in (each.replace("-", "_") for each in _REPEATABLE):
        given[name] = tuple(given[name] or ())
    if given["checkpoint"] is None and given["model"] is None:
        raise BadInput("Name the model to train for: --checkpoint, or --model with its parts.")
    if given["data_weight"] and len(given["data_weight"]) != len(given["data"]):
        raise BadInput(
            f"--data-weight is given {len(given['data_weight'])} times and --data "
            f"{len(given['data'])} times: give one for each, in the same order."
        )
    if given["patience"] and not given["val_fraction"]:
        raise BadInput("--patience counts validations: hold some pairs out by --val-fraction.")
    if given["wandb"] and importlib.util.find_spec("wandb") is None:
        raise BadInput("--wandb: Weights & Biases is not installed (pip install wandb).")
    _check_compared(given)
    if given["resume"] and given["overwrite"]:
        raise BadInput("--resume goes on with a run and --overwrite starts it anew: give one.")
    return Settings.of(given)


def _with_recipe(made: Parser, recipe: str, arguments: list[str]) -> dict[str, Any]:
    """The flags of a recipe, and those that were given over them; `recipe` tells of both."""
    chosen = flags_of(recipe, compares(made.parse_args(arguments).objective))
    given = vars(made.parse_args([*chosen, *arguments]))
    objective = OF_OBJECTIVE.get(recipe)
    if objective and given["objective"] != objective:
        raise BadInput(
            f"--recipe {recipe} is of --objective {objective}: nobody has published the other's "
            "settings; leave --recipe out."
        )
    alone = vars(made.parse_args([*chosen, "--data=.", f"--recipe={recipe}"]))
    names = [each.partition("=")[0].removeprefix("--") for each in chosen]
    names = [name.removeprefix("no-").replace("-", "_") for name in names]
    names = [*OF_FAMILY.get(recipe, ()), *names]
    others = [f"{flag(name)} {given[name]}" for name in names if given[name] != alone[name]]
    return {**given, "recipe": f"{recipe}, with {', '.join(others)}" if others else recipe}


def _check_compared(given: dict[str, Any]) -> None:
    """Raises BadInput for flags on captions where the objective compares pictures."""
    if compares(given["objective"]) == "captions":
        return
    for name in OF_CAPTIONS:
        if given[name.replace("-", "_")]:
            raise BadInput(
                f"--{name} is of objectives that tell captions apart, and --objective "
                f"{given['objective']} compares pictures: leave it out."
            )


def _config_of(arguments: list[str]) -> Path | None:
    """The value of --config, found before the rest can be parsed."""
    found = None
    for at, argument in enumerate(arguments):
        if argument == "--config" and at + 1 < len(arguments):
            found = arguments[at + 1]
        elif argument.startswith("--config="):
            found = argument.partition("=")[2]
    if found is None:
        return None
    try:
        return expanded(found)
    except BadInput as error:
        raise BadInput(f"--config: {error}.") from None


def _as_flags(path: Path, given: Sequence[str] = ()) -> list[str]:
    """A TOML file's entries as a command line, so that both are checked by the same rules.

    given: the command line, whose flags win, those that may be repeated as well.
    """
    try:
        entries = read_toml(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): check --config.") from None
    flags: list[str] = []
    for name, value in entries.items():
        name = name.replace("_", "-")
        values = [value]
        if name in _REPEATABLE:
            values = value if isinstance(value, list) else values
            if any(each == f"--{name}" or each.startswith(f"--{name}=") for each in given):
                continue
        for each in values:
            flags += _as_flag(path, name, each)
    return flags


def _as_flag(path: Path, name: str, value: Any) -> list[str]:
    if name == "config" or isinstance(value, dict | list):
        raise BadInput(f'{path}: "{name}" is no flag with one value (see --help).')
    if isinstance(value, bool):
        if name == "dry-run":
            return ["--dry-run"] if value else []
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, str) and name not in _PROSE and any(char in _ESCAPED for char in value):
        raise BadInput(
            f'{path}: "{name}" holds {value!r}, as a backslash between double quotes begins an '
            "escape: write paths in single quotes ('C:\\pictures') or with forward slashes."
        )
    if name in _PATHS and not is_remote(str(value)):
        # Relative to the config file, which travels with its data.
        try:
            value = path.parent / expanded(str(value))
        except BadInput as error:
            raise BadInput(f'{path}: "{name}": {error}.') from None
    return [f"--{name}={value}"]
