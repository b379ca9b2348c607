"""The `models/softrepa` folder: registered with ComfyUI, listed, and resolved to paths."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import folder_paths

from ..softrepa import files

FOLDER = "softrepa"


def register_folder() -> None:
    """Adds `models/softrepa` to what `extra_model_paths.yaml` may have set, and its file types.

    `output/softrepa`, where Save SoftREPA Adapter writes, is searched too, as for ComfyUI's own
    model savers.
    """
    default = os.path.join(folder_paths.models_dir, FOLDER)
    folder_paths.add_model_folder_path(FOLDER, default)
    saved = os.path.join(folder_paths.get_output_directory(), FOLDER)
    folder_paths.add_model_folder_path(FOLDER, saved)
    paths, extensions = folder_paths.folder_names_and_paths[FOLDER]
    if not set(files.SUFFIXES) <= set(extensions):
        extensions = {*extensions, *files.SUFFIXES}
        folder_paths.folder_names_and_paths[FOLDER] = (paths, extensions)
    try:
        os.makedirs(default, exist_ok=True)
    except OSError:
        pass  # a read-only models folder can still have adapters in another path


def names() -> list[str]:
    """Adapter files to choose from. A file of offsets that another file picks up is left out."""
    listed = folder_paths.get_filename_list(FOLDER)
    tokens = set(listed)
    return [name for name in listed if not _belongs_to_another(name, tokens)]


def _belongs_to_another(name: str, listed: set[str]) -> bool:
    stem, suffix = os.path.splitext(name)
    return stem.endswith("t_tokens") and stem.removesuffix("t_tokens") + "tokens" + suffix in listed


def path_of(name: str) -> Path:
    """The full path of a listed file. Raises FileNotFoundError, as ComfyUI's own loaders do."""
    return Path(folder_paths.get_full_path_or_raise(FOLDER, name))


def fingerprint(name: str) -> str:
    """What changes when the file, or the offsets beside it, change on disk.

    ComfyUI writes it into every picture's metadata, so it tells nothing about the machine.
    """
    path = path_of(name)
    found = [
        (str(file), file.stat().st_mtime_ns, file.stat().st_size)
        for file in (path, files.partner(path))
        if file is not None
    ]
    return hashlib.sha256(repr(found).encode()).hexdigest()
