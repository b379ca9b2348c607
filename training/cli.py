"""`train.py`: flags and config file to settings, outcomes to exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import comfy_model
from .data.text_files import read_toml
from .errors import BadInput
from .flags import parser
from .settings import Settings

_PROSE = ("title", "description", "author")
DONE, BAD_INPUT, INTERRUPTED, FAULT = 0, 2, 130, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the trainer; returns the exit code."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else list(arguments))
        return _run(settings)
    except BadInput as error:
        print(f"train.py: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if error.errno not in (*full, errno.EROFS, errno.EACCES, errno.EIO):
            raise
        print(
            f"train.py: {error.filename or 'A file'} cannot be written ({error.strerror}): free "
            "some space or name another folder, then go on with --resume.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("train.py: Interrupted; go on with --resume.", file=sys.stderr)
        return INTERRUPTED


def _run(settings: Settings) -> int:
    # ComfyUI's attention that has an efficient backward, on every device.
    flags = ["--use-pytorch-cross-attention", *(["--cpu"] if settings.cpu else [])]
    comfy_model.start(comfy_model.find_comfyui(settings.comfyui), flags)
    # Only now: these import `comfy`.
    from .guard import Diverged
    from .loop import Interrupted
    from .memory import OutOfMemory, ran_out
    from .run import run

    try:
        run(settings)
    except Interrupted:
        raise KeyboardInterrupt from None
    except (Diverged, OutOfMemory) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return FAULT
    except Exception as error:
        if not ran_out(error):
            raise
        print(
            "train.py: Memory ran out before the first step: close other programs that use the "
            "device, or use --cpu; what the cache holds already is kept.",
            file=sys.stderr,
        )
        return FAULT
    return DONE


def read_settings(arguments: list[str]) -> Settings:
    """Settings from a command line and the config file it names. Raises BadInput."""
    made = parser()
    config = _config_of(arguments)
    given = vars(made.parse_args([*_as_flags(config), *arguments] if config else arguments))
    given.pop("config")
    if given["resume"] and given["overwrite"]:
        raise BadInput("--resume goes on with a run and --overwrite starts it anew: give one.")
    return Settings(**given)


def _config_of(arguments: list[str]) -> Path | None:
    """The value of --config, found before the rest can be parsed."""
    found = None
    for at, argument in enumerate(arguments):
        if argument == "--config" and at + 1 < len(arguments):
            found = Path(arguments[at + 1])
        elif argument.startswith("--config="):
            found = Path(argument.partition("=")[2])
    return found


def _as_flags(path: Path) -> list[str]:
    """A TOML file's entries as a command line, so that both are checked by the same rules."""
    try:
        entries = read_toml(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): check --config.") from None
    flags: list[str] = []
    for name, value in entries.items():
        flags += _as_flag(path, name.replace("_", "-"), value)
    return flags


def _as_flag(path: Path, name: str, value: Any) -> list[str]:
    if name == "config" or isinstance(value, dict | list):
        raise BadInput(f'{path}: "{name}" is no flag with one value (see --help).')
    if isinstance(value, bool):
        if name == "dry-run":
            return ["--dry-run"] if value else []
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, str) and name not in _PROSE and any(char < " " for char in value):
        raise BadInput(
            f'{path}: "{name}" holds {value!r}, as a backslash between double quotes begins an '
            "escape: write paths in single quotes ('C:\\pictures') or with forward slashes."
        )
    if name in ("data", "cache", "comfyui", "hard-words", "thumbnail"):
        # Relative to the config file, which travels with its data.
        value = path.parent / os.path.expanduser(str(value))
    return [f"--{name}={value}"]
