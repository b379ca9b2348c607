"""Where scorers' weights lie, how they are named, and what to do where they are missing."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...softrepa.hashing import remembered_hash, state_of
from .kind import Kind
from .scorer import ScorerError

FOLDER = "softrepa_scorers"
"""In ComfyUI's models, and its key in extra_model_paths.yaml."""
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def register_folder() -> None:
    """Adds `models/softrepa_scorers` to what extra_model_paths.yaml may have set. Needs ComfyUI."""
    import folder_paths

    default = os.path.join(folder_paths.models_dir, FOLDER)
    folder_paths.add_model_folder_path(FOLDER, default)
    paths, extensions = folder_paths.folder_names_and_paths[FOLDER]
    if not set(SUFFIXES) <= set(extensions):
        folder_paths.folder_names_and_paths[FOLDER] = (paths, {*extensions, *SUFFIXES})
    try:
        os.makedirs(default, exist_ok=True)
    except OSError:
        pass  # A read-only models folder can still have scorers in another path.


def names(kinds: Iterable[Kind]) -> list[str]:
    """Every file, and every folder with a config.json, that one of these kinds could be given."""
    searched = dict.fromkeys(f for kind in kinds for f in _searched(kind))
    found = (entry for folder in searched for entry in _entries(folder))
    return sorted({name for name, _ in found})


def find(kind: Kind, file: str | None = None) -> Path:
    """Where a scorer's weights lie. Raises ScorerError, which says what to put where."""
    if file and Path(file).is_absolute():
        if Path(file).exists():
            return Path(file)
        raise ScorerError(f"There is no {file}. {_advice(kind)}")
    wanted = [file.replace("\\", "/")] if file else list(kind.weights.names)
    folders = list(_searched(kind))
    for name in wanted:
        for folder in folders:
            for entry, path in _entries(folder):
                if entry == name or (not file and entry.endswith(f"/{name}")):
                    return path
    if file and Path(file).exists():
        return Path(file).absolute()
    missing = f'There is no "{file}" for the scorer {kind.name}.' if file else ""
    missing = missing or f"The scorer {kind.name} has no weights here."
    raise ScorerError(f"{missing} {_advice(kind)}")


def _advice(kind: Kind) -> str:
    weights = kind.weights
    what = f"{weights.file} from" if weights.file else "all of"
    target = os.path.join(_default(), weights.names[0])
    also = f" ComfyUI's {' and '.join(weights.folders)} are searched too." * bool(weights.folders)
    besides = f" {weights.besides}" if weights.besides else ""
    return (
        f"Download {what} huggingface.co/{weights.source} ({weights.size}) as {target}."
        f"{also}{besides}"
    )


def _default() -> str:
    """The folder that a user is told: the whole path where ComfyUI is at hand."""
    folder_paths = sys.modules.get("folder_paths")
    if folder_paths is None:
        return f"models/{FOLDER}"
    return os.path.join(folder_paths.models_dir, FOLDER)


def _searched(kind: Kind) -> Iterator[str]:
    """The folders on disk, this pack's first."""
    folder_paths = sys.modules.get("folder_paths")
    if kind.weights is None or folder_paths is None:
        return
    for key in (FOLDER, *kind.weights.folders):
        if key in folder_paths.folder_names_and_paths:
            yield from folder_paths.get_folder_paths(key)


def _entries(folder: str) -> Iterator[tuple[str, Path]]:
    """Name below the folder and path of each; hidden ones and what lies in a model are left out."""
    seen: set[str] = set()
    for place, below, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below[:] = []
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        if place != folder and "config.json" in files:
            below[:] = []
            yield Path(place).relative_to(folder).as_posix(), Path(place)
            continue
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path.relative_to(folder).as_posix(), path


def sha256(path: Path) -> str:
    """Of a file, or of all files of a model's folder by name and content.

    A file is read once as long as it does not change: these are large.
    """
    if not path.is_dir():
        return remembered_hash(path)
    digest = hashlib.sha256()
    for each in _parts(path):
        found = remembered_hash(each)
        digest.update(f"{each.relative_to(path).as_posix()}\0{found}\n".encode())
    return digest.hexdigest()


def _parts(path: Path) -> list[Path]:
    """The files of a folder in order, without the hidden ones that download tools leave."""
    found = (each for each in sorted(path.rglob("*")) if each.is_file())
    return [e for e in found if not any(p.startswith(".") for p in e.relative_to(path).parts)]


def state(path: Path) -> list[tuple[int, int, int]]:
    """What changes when a file, or one of a folder's, changes on disk; nothing of the machine."""
    return [state_of(each)[1:] for each in (_parts(path) if path.is_dir() else [path])]
