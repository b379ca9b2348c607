"""The `models/softrepa` folder: registered with ComfyUI, listed, and resolved to paths.

The list is read from the disk each time. ComfyUI's own is kept for as long as its folders have the
same time, and a file that is written within one tick of the clock would stay unknown.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ...softrepa import files, hashing
from ...softrepa.adapter import PLACEMENTS

FOLDER = "softrepa"
ARCHITECTURES = ("auto", *PLACEMENTS)
"""What a user can say an adapter is for; auto for what its file tells."""


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
    listed = _listed()
    return [name for name in sorted(listed) if not _belongs_to_another(name, listed)]


def _belongs_to_another(name: str, listed: dict[str, Path]) -> bool:
    stem, suffix = os.path.splitext(name)
    return stem.endswith("t_tokens") and stem.removesuffix("t_tokens") + "tokens" + suffix in listed


def path_of(name: str) -> Path:
    """The full path of a listed file.

    A name is found however its slashes and accents were written, so that a workflow saved on
    another system loads. Raises FileNotFoundError, with one sentence, where it is not there.
    """
    listed, name = _listed(), str(name)
    by_spelling = {_spelling(each): path for each, path in listed.items()}
    found = listed.get(name) or by_spelling.get(_spelling(name)) or _known_to_comfyui(name)
    if found is None:
        raise FileNotFoundError(
            f'There is no adapter "{_printable(name)}" in models/softrepa: put the file there, or '
            "choose another in Load SoftREPA Adapter."
        )
    return found


def stated(architecture: str) -> str | None:
    """One of ARCHITECTURES as `files.read` takes it."""
    return None if architecture == ARCHITECTURES[0] else architecture


def _known_to_comfyui(name: str) -> Path | None:
    """Where another pack has taught ComfyUI to find what lies in no folder; plain names only."""
    parts = _spelling(name).split("/")
    plain = _printable(name) == name and all(part and part[0] != "." for part in parts)
    if not plain or Path(name).suffix.lower() not in files.SUFFIXES:
        return None
    try:
        return Path(folder_paths.get_full_path_or_raise(FOLDER, "/".join(parts)))
    except (FileNotFoundError, ValueError):
        return None


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _listed() -> dict[str, Path]:
    """Name -> path of every adapter file; of equal names the first folder's counts."""
    found: dict[str, Path] = {}
    folders, extensions = folder_paths.folder_names_and_paths.get(FOLDER, ((), ()))
    for folder in tuple(folders):
        for path in _files_below(folder):
            if path.suffix.lower() in extensions and path.is_file():
                found.setdefault(str(path.relative_to(folder)), path)
    return found


def _files_below(folder: str) -> Iterator[Path]:
    """Every file but the hidden ones, with links followed, though never in a circle."""
    seen: set[str] = set()
    for place, folders, files_here in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [each for each in folders if _shown(each)]
        if real not in seen:
            yield from (Path(place, each) for each in files_here if _shown(each))
        seen.add(real)


def _shown(name: str) -> bool:
    """Hidden are what begins with a dot (the trainer's cache, macOS's own files), and names that
    no page can ask for."""
    if name.startswith("."):
        return False
    if _printable(name) != name:
        _say_unreadable(_printable(name))
        return False
    return True


@functools.cache
def _say_unreadable(name: str) -> None:
    logging.warning(
        'SoftREPA: "%s" in models/softrepa is not listed, for its name is not UTF-8: rename it.',
        name,
    )


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")


def state(path: Path) -> tuple[hashing.State, ...]:
    """What tells that the file, or the offsets beside it, changed on disk."""
    return tuple(map(hashing.state_of, _there(path)))


def fingerprint(name: str) -> str:
    """What changes when the file, or the offsets beside it, change on disk.

    ComfyUI writes it into every picture's metadata, so it tells nothing about the machine.
    """
    return hashlib.sha256(repr(state(path_of(name))).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal; of a pair, of the tokens' file and then the offsets'."""
    return hashing.remembered_hash(*_there(path))


def _there(path: Path) -> list[Path]:
    return [file for file in (path, files.partner(path)) if file is not None]
