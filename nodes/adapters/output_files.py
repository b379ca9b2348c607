"""Adapters under numbered names below ComfyUI's output folder, as its own save nodes have them."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import folder_paths

from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...softrepa.errors import AdapterError

_LONGEST_NAME = 255
"""Bytes of a file name; UTF-16 units on Windows."""
_NUMBERED = "{}_{:05}_.safetensors"
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
"""What Windows takes in no name: an adapter should be able to travel."""
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
_EXAMPLE = 'write a folder and a name, such as "softrepa/adapter"'


def write_numbered(prefix: str, adapter: Adapter) -> Path:
    """Writes the adapter under the first free number, whole or not at all, and over no file.

    prefix: folder and name, see `check_prefix`. Several programs may write at once. Raises
    AdapterError, in one sentence, where the prefix is no good or the file cannot be written.
    """
    check_prefix(prefix)
    output = folder_paths.get_output_directory()
    name = f"{prefix}_"
    try:
        folder, stem, first, _, _ = folder_paths.get_save_image_path(_tidied(prefix), output)
        for number in itertools.count(first):
            name = _NUMBERED.format(stem, number)
            try:
                files.write_new(Path(folder) / name, adapter)
            except FileExistsError:
                continue
            return Path(folder) / name
    except OSError as error:
        raise AdapterError(f"{name} cannot be written: {error.strerror}.") from error
    raise AssertionError("numbers do not end")


def check_prefix(prefix: str) -> None:
    """Raises AdapterError unless this is a folder and name for files below the output folder."""
    shown = prefix.encode("utf-8", "replace").decode("utf-8")
    parts = prefix.replace("\\", "/").split("/")
    if not prefix.strip():
        raise AdapterError(f"The filename_prefix is empty: {_EXAMPLE}.")
    if shown != prefix or _FORBIDDEN.search(prefix):
        raise AdapterError(
            f'The filename_prefix "{_FORBIDDEN.sub("?", shown)}" has a character that a file name '
            f"cannot have on every system: {_EXAMPLE}."
        )
    if not parts[0] or ".." in parts:
        raise AdapterError(
            f'The filename_prefix "{shown}" leads outside the output folder, and adapters are '
            f"saved below it: {_EXAMPLE}."
        )
    if not parts[-1].strip():
        raise AdapterError(
            f'The filename_prefix "{shown}" ends with a folder and lacks a name: {_EXAMPLE}.'
        )
    if any(part.startswith(".") and part != "." for part in parts) or parts[-1] == ".":
        raise AdapterError(
            f'The filename_prefix "{shown}" has a name that begins with a dot, and Load SoftREPA '
            f"Adapter lists no hidden files: {_EXAMPLE}."
        )
    reserved = next((p for p in parts[:-1] if p.split(".")[0].strip().lower() in _DEVICES), None)
    if reserved is not None:
        raise AdapterError(
            f'The filename_prefix "{shown}" has a folder "{reserved}", a name that Windows keeps '
            "for a device: choose another."
        )
    _check_lengths([*parts[:-1], _NUMBERED.format(parts[-1], 0)])


def _check_lengths(names: list[str]) -> None:
    for name in names:
        length = (
            len(os.fsencode(name)) if os.name == "posix" else len(name.encode("utf-16-le")) // 2
        )
        if length > _LONGEST_NAME:
            unit = "bytes" if os.name == "posix" else "characters"
            raise AdapterError(
                f"The filename_prefix gives a name of {length} {unit}, and a name can have "
                f"{_LONGEST_NAME}: make it shorter."
            )


def _tidied(prefix: str) -> str:
    """With one kind of slash, so that a Windows user's folders are folders everywhere."""
    return prefix.replace("\\", "/")
