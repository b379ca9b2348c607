"""Where a run's files lie, and what its adapter says about itself."""

from __future__ import annotations

import glob
import os
import re
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image, ImageOps

from ....softrepa import files
from ....softrepa.files import modelspec, thumbnail
from ...errors import BadInput
from ...model.soft_tokens import SoftTokens
from ...objectives import OBJECTIVES
from ...settings.paths import expanded

FOLDER = "softrepa"
_ROOM = 64 << 20
"""Free space asked for before a run: several times all it writes beside the cache."""

_FORBIDDEN = '*?<>|":' if os.name == "nt" else "*?"
"""No name for a file that other programs are to take: a shell would look for others with it."""

_TEMPORARY = 16
"""Letters that are put behind the name of a file while it is written, at most."""


@dataclass(frozen=True)
class Output:
    """adapter: the .safetensors; the others stand beside it under its name."""

    adapter: Path

    @property
    def best(self) -> Path:
        """The adapter of the lowest validation loss."""
        return self.adapter.with_suffix(".best.safetensors")

    @property
    def state(self) -> Path:
        return self.adapter.with_suffix(".state")

    @property
    def log(self) -> Path:
        return self.adapter.with_suffix(".log.jsonl")

    @property
    def plot(self) -> Path:
        return self.adapter.with_suffix(".png")

    @property
    def previews(self) -> Path:
        """The pictures painted while training, as one strip."""
        return self.adapter.with_suffix(".previews.png")

    @property
    def board(self) -> Path:
        """TensorBoard's folder."""
        return self.adapter.with_suffix(".tensorboard")

    def numbered(self, step: int) -> Path:
        """The adapter as it was after some step."""
        return self.adapter.with_suffix(f".step{step:06}.safetensors")

    def all_numbered(self) -> list[Path]:
        """Those that are there, the earliest first."""
        begins, ends = f"{self.adapter.stem}.step", ".safetensors"
        found = {
            int(path.name[len(begins) : -len(ends)]): path
            for path in self.adapter.parent.glob(f"{glob.escape(begins)}*{ends}")
            if path.name[len(begins) : -len(ends)].isdecimal()
        }
        return [found[step] for step in sorted(found)]

    def clear(self) -> None:
        """Deletes what another run left under this name, all of it, so that no two are mixed."""
        fixed = (self.state, self.adapter, self.best, self.log, self.plot, self.previews)
        for path in (*fixed, *self.all_numbered()):
            path.unlink(missing_ok=True)
        if self.board.is_dir():
            for events in self.board.glob("events.out.tfevents.*"):
                events.unlink(missing_ok=True)

    @property
    def data_report(self) -> Path:
        return self.adapter.with_suffix(".data.txt")


def find_output(name: str) -> Output:
    """--output: a path, or a name in ComfyUI's softrepa folder; the folder is made.

    Raises BadInput where it names no file, cannot be written or its disk is full.
    """
    path = _file_named(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"0")
        info = os.statvfs(path.parent) if hasattr(os, "statvfs") else None
    except OSError as error:
        raise BadInput(
            f"{path.parent} cannot be written ({error.strerror}): name another --output."
        ) from None
    if os.path.isdir(path):
        raise BadInput(f"{path} is a folder: name a file as --output.")
    if info is not None and info.f_bavail * info.f_frsize < _ROOM:
        raise BadInput(
            f"The disk of {path.parent} is full: free some space, or name another --output."
        )
    _check_room_for_names(Output(path))
    return Output(path)


def _file_named(name: str) -> Path:
    try:
        path = expanded(name)
    except BadInput as error:
        raise BadInput(f"--output: {error}.") from None
    separators = tuple(filter(None, (os.sep, os.altsep)))
    bare = not any(separator in name for separator in separators) and not path.is_absolute()
    if path.name in ("", "..") or name.endswith(separators) or (not bare and os.path.isdir(path)):
        raise BadInput(f"--output {name} is a folder: name a file in it, such as adapter.")
    forbidden = [letter for letter in _FORBIDDEN if letter in path.name]
    if forbidden:
        raise BadInput(f"--output {name} holds {' '.join(forbidden)}: choose a name without.")
    if path.suffix != ".safetensors":
        if path.suffix in (".pt", ".pth", ".ckpt", ".bin", ".png"):
            raise BadInput(f"--output {name} must end in .safetensors.")
        path = path.with_name(f"{path.name}.safetensors")
    return Path(os.path.abspath(_adapters_folder() / path if bare else path))


def _check_room_for_names(output: Output) -> None:
    """Raises BadInput where a file beside the adapter would have too long a name.

    By making one as long as the longest, that of a file half written: the limit is the disk's.
    """
    longest = max((output.best.name, output.log.name), key=len)
    # A name of its own: the processes of one run look at the same time.
    unique = uuid.uuid4().hex.ljust(_TEMPORARY, "x")[:_TEMPORARY]
    probe = output.adapter.with_name(f".{longest}.{unique}")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"{output.adapter.name} is too long a name for the files beside it, such as {longest} "
            f"({error.strerror}): choose a shorter --output."
        ) from None


def _adapters_folder() -> Path:
    import folder_paths

    known = folder_paths.folder_names_and_paths.get(FOLDER)
    return Path(known[0][0]) if known and known[0] else Path(folder_paths.models_dir) / FOLDER


def start_date() -> str:
    """Now, or SOURCE_DATE_EPOCH where it is set, so that equal runs can give equal bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = time.gmtime(int(epoch) if epoch else None)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)


def labels(
    title: str = "", description: str = "", author: str = "", picture: Path | None = None
) -> dict[str, str]:
    """What the user has model browsers show of the adapter; empty for what was not given.

    Only a picture the user names is embedded, never one of the training set. Raises BadInput where
    it cannot be read.
    """
    if picture is None:
        return modelspec.labels(title, description, author)
    try:
        with Image.open(picture) as opened:
            embedded = thumbnail.jpeg(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture"
        raise BadInput(f"--thumbnail {picture} cannot be read ({reason}).") from None
    return modelspec.labels(title, description, author, embedded)


def describe(run: Mapping[str, Any], step: int) -> str:
    """One sentence on what was trained, from the run's settings."""
    objective = OBJECTIVES[run["objective"]].TITLE
    share = run.get("val_fraction") or 0.0
    held_out = f" ({share:.0%} of them held out)" if share else ""
    return (
        f"Soft text tokens for {run['base_model']}, trained with {objective} on {run['pairs']} "
        f"captioned pictures{held_out} for {step} steps of {run['batch_size']}."
    )


def metadata(
    run: Mapping[str, Any],
    title: str,
    started: str,
    step: int,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """What the adapter file says: every setting that shaped it, so that the run can be repeated.

    labels: entries that replace the title and description made here, see `labels`.
    """
    described = {
        f"softrepa.{key}": str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in run.items()
        if value is not None and key not in ("layers", "placement")
    }
    return {
        **described,
        modelspec.TITLE: title,
        modelspec.DESCRIPTION: describe(run, step),
        modelspec.DATE: started,
        **labels,
        "softrepa.steps": str(step),
        "softrepa.trainer_version": pack_version(),
        "softrepa.torch_version": torch.__version__,
    }


def write_adapter(path: Path, tokens: SoftTokens, described: Mapping[str, str]) -> None:
    """The tokens as they are, in the native format. Raises OSError."""
    still = tokens.copy("cpu", trainable=False).adapter
    files.write(path, replace(still, metadata=described))


def pack_version() -> str:
    """The version that the pack's pyproject.toml states."""
    text = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    return found[1] if found else "unknown"
