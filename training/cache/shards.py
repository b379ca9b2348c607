"""One shard: a safetensors file that is written whole or not at all, and knows its own hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import BadInput

SUFFIX = ".shard"
"""Safetensors inside. ComfyUI would list `.safetensors` in a models folder as files to choose."""

OLD_SUFFIX = ".safetensors"
"""Of caches that an earlier version wrote; they are read where they lie."""

KINDS = ("latents", "texts")
_UNFINISHED = ".unfinished"
_FORMAT = 1
_KEY = "softrepa.cache"
_ABANDONED_SECONDS = 600.0


class Damaged(Exception):
    """The file is truncated or altered."""


@dataclass(frozen=True)
class Shard:
    """The contents list of a shard: `entries` describes each entry by its key, see `build`."""

    path: Path
    kind: str
    model: str
    model_name: str
    entries: Mapping[str, Any]
    digests: Mapping[str, str]


def write(
    folder: Path,
    kind: str,
    model: str,
    model_name: str,
    entries: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> Shard:
    """Writes a shard, named after its keys. Raises BadInput where the folder cannot take it."""
    about = {
        "format": _FORMAT,
        "kind": kind,
        "model": model,
        "model_name": model_name,
        "entries": entries,
        "digests": {name: digest(name, tensor) for name, tensor in tensors.items()},
    }
    # One metadata key, since safetensors does not keep the order of several.
    metadata = {_KEY: json.dumps({**about, "seal": _seal(about)}, sort_keys=True)}
    keys = hashlib.sha256("\n".join(sorted(entries)).encode()).hexdigest()
    path = folder / f"{kind}-{keys[:20]}{SUFFIX}"
    unfinished = folder / f"{path.stem}-{secrets.token_hex(4)}{_UNFINISHED}"
    try:
        unfinished.touch()
        mode = unfinished.stat().st_mode  # umask's; safetensors makes a file for its owner alone
        save_file(dict(tensors), unfinished, metadata)
        unfinished.chmod(mode)
        _flush(unfinished)
        os.replace(unfinished, path)
        _flush_folder(folder)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise _unwritable(folder, error) from error
    del about["format"]
    return Shard(path, **about)


def read(path: Path) -> Shard:
    """What a shard holds, from its header alone. Raises Damaged, or BadInput on a newer format."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            names = set(file.keys())
        seal = about.pop("seal")
        if about["format"] != _FORMAT:
            raise BadInput(
                f"The cache in {path.parent} was made by another version of the trainer; delete "
                "it or name another folder with --cache."
            )
        if seal != _seal(about) or names != set(about["digests"]):
            raise Damaged(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(path) from error
    del about["format"]
    return Shard(path, **about)


def verify(shard: Shard) -> None:
    """Reads all of a shard. Raises Damaged where a tensor is not what was written."""
    try:
        with safe_open(shard.path, framework="pt") as file:
            for name, expected in shard.digests.items():
                if digest(name, file.get_tensor(name)) != expected:
                    raise Damaged(shard.path)
    except (SafetensorError, OSError) as error:
        raise Damaged(shard.path) from error


def digest(name: str, tensor: Tensor) -> str:
    """A short hash of a tensor's name, type, shape and bytes."""
    hashed = hashlib.blake2b(
        f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode(), digest_size=8
    )
    hashed.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return hashed.hexdigest()


def sweep(folder: Path) -> None:
    """Removes what a killed run left half written; a younger file may be another run's."""
    for path in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


def paths(folder: Path) -> list[Path]:
    """All complete shards of a folder, by name."""
    suffixes = (OLD_SUFFIX, SUFFIX)
    return sorted(
        path for kind in KINDS for suffix in suffixes for path in folder.glob(f"{kind}-*{suffix}")
    )


def _seal(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    # Windows flushes only through a handle that may write.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; renaming is journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(folder: Path, error: Exception) -> BadInput:
    # safetensors passes the system's message on as text only.
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    if full:
        return BadInput(
            f"The disk of {folder} is full; free some room or name another folder with --cache, "
            "then run again: what is cached already is kept."
        )
    return BadInput(
        f"The cache cannot be written to {folder} ({error}); name another with --cache."
    )
