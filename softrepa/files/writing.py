"""Writing an adapter file: the native kind, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from ..adapter import Adapter
from ..errors import AdapterError
from . import modelspec
from .importers import native
from .importers.native import LONGEST_HEADER, OFFSETS, TOKENS


def write(path: str | os.PathLike[str], adapter: Adapter) -> None:
    """Writes the native format, whole or not at all; an older file is replaced.

    Equal adapters under one file name give equal bytes, apart from `modelspec.date`, which is kept
    where the adapter's metadata has it. Raises OSError where the file cannot be written; an older
    file then stays.
    """
    path = Path(path)
    _write(path, adapter, lambda temporary: temporary.replace(path))


def write_new(path: str | os.PathLike[str], adapter: Adapter) -> None:
    """As `write`, but never over a file that is there, nor one that appears meanwhile.

    Raises FileExistsError, also where another program wrote it a moment before, and OSError.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    _write(path, adapter, lambda temporary: _move_to_free(temporary, path))


def _write(path: Path, adapter: Adapter, move: Callable[[Path], object]) -> None:
    data = encode(adapter, path.stem)
    # Beside the target, so that the move is atomic; opened anew, so that umask applies; of a name
    # that no other program has, not even one of the same process id in another container.
    temporary = path.with_name(f".{_shortened(path.name)}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _shortened(name: str) -> str:
    """So much of a file name that one can be added around it; file systems take 255 bytes."""
    whole = name.encode("utf-8", "ignore")
    return name if len(whole) <= 200 else whole[:200].decode("utf-8", "ignore")


def _move_to_free(temporary: Path, path: Path) -> None:
    """Moves a file to a name, in one step that fails with FileExistsError if it is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: the name is taken first, then filled.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    else:
        temporary.unlink()


def encode(adapter: Adapter, name: str = "SoftREPA adapter") -> bytes:
    """The native file's bytes. name: the title of an adapter that has none.

    Raises AdapterError where the metadata are longer than `read` takes.
    """
    tokens = adapter.tokens.detach().cpu().to(torch.float32)
    tensors = {TOKENS: (tokens[0] if adapter.banks == 1 else tokens).contiguous()}
    if adapter.offsets is not None:
        offsets = adapter.offsets.detach().cpu().to(torch.float32).transpose(0, 1)
        tensors[OFFSETS] = offsets.reshape(offsets.shape[0], -1).contiguous()
    blob = save(tensors)
    header_end = 8 + struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8:header_end])
    data = blob[header_end:]
    metadata = {**modelspec.complete(adapter, data, name), **native.describe(adapter)}
    header["__metadata__"] = dict(sorted(metadata.items()))
    # safetensors writes metadata in random order; a file's bytes should follow from its content.
    # What is no character (part of a file name that is not UTF-8) becomes a question mark.
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST_HEADER:
        raise AdapterError(
            "The title, description and other words in this adapter take "
            f"{len(text) >> 20} MB; at most {LONGEST_HEADER >> 20} MB can be read back."
        )
    return struct.pack("<Q", len(text)) + text + data
