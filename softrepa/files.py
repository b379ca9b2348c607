"""Adapter files: reading any of the known kinds, and writing the native one."""

from __future__ import annotations

import errno
import json
import os
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from . import modelspec
from .adapter import PLACEMENTS, Adapter
from .errors import AdapterError
from .importers import native, read_content
from .importers.content import Content
from .torch_pickle import EmbeddingRecord, read_torch_pickle

SUFFIXES = (".safetensors", ".pth", ".pt")
TOKENS = "tokens"
OFFSETS = "t_offsets.weight"
_LONGEST_HEADER = 1 << 24


def read(path: str | os.PathLike[str], architecture: str | None = None) -> Adapter:
    """The adapter in a file of any known kind, float32 on the CPU.

    architecture: what it is for, a key of `adapter.PLACEMENTS`, where the file does not tell.

    `dc_tokens.pth` picks up `dc_t_tokens.pth` beside it, `soft_tokens.pth` `soft_t_tokens.pth`.
    Raises AdapterError, in one sentence, where the file is missing, damaged, of another kind, or
    holds what cannot be used; also where it could be for several architectures, or says another.
    """
    path = Path(path)
    if architecture is not None and architecture not in PLACEMENTS:
        raise AdapterError(
            f'"{architecture}" is no architecture: choose among {", ".join(PLACEMENTS)}.'
        )
    shown = str(path).encode("utf-8", "replace").decode("utf-8")
    if shown != str(path):
        raise AdapterError(f"{shown} has a name that is not UTF-8: rename the file or its folder.")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise AdapterError(f"{path.name} cannot be opened: {error.strerror}.") from error
    if start[:4] == b"PK\x03\x04":
        return read_content(replace(_pickled(path), architecture=architecture))
    if start[:2] == b"\x80\x02" and start[8:] != b"{":
        raise AdapterError(
            f"{path.name} is of the old torch.save format: load and save it once with a current "
            "PyTorch, then convert it to .safetensors."
        )
    return read_content(replace(_safetensors(path, start), architecture=architecture))


def partner(path: Path) -> Path | None:
    """The file of timestep offsets that belongs to a file of tokens, if it is there."""
    if path.suffix == ".safetensors" or not path.stem.endswith("tokens"):
        return None
    beside = path.with_name(f"{path.stem.removesuffix('tokens')}t_tokens{path.suffix}")
    return beside if beside.is_file() else None


def _pickled(path: Path) -> Content:
    tokens = read_torch_pickle(path)
    if isinstance(tokens, EmbeddingRecord):
        raise AdapterError(
            f"{path.name} holds only timestep offsets: choose the file of tokens beside it."
        )
    beside = partner(path)
    offsets = None if beside is None else read_torch_pickle(beside)
    if isinstance(offsets, EmbeddingRecord):
        offsets = offsets.weight
    return _content(path.name, tokens, offsets, {})


def _safetensors(path: Path, start: bytes) -> Content:
    size = path.stat().st_size
    length = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
    if not 2 <= length <= _LONGEST_HEADER:
        raise AdapterError(
            f"{path.name} is neither a .safetensors nor a torch.save file, or it was cut short "
            f"({size} bytes): download it again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            keys = set(file.keys())
            if TOKENS not in keys:
                raise AdapterError(f"{path.name} {_other_kind(keys)}")
            tokens = file.get_tensor(TOKENS)
            offsets = file.get_tensor(OFFSETS) if OFFSETS in keys else None
            return _content(path.name, tokens, offsets, file.metadata() or {})
    except SafetensorError as error:
        raise AdapterError(
            f"{path.name} is truncated or damaged ({error}): download it again."
        ) from error


def _other_kind(keys: set[str]) -> str:
    kinds = (
        ("a LoRA", ("lora_", ".lora", "hada_", "lokr_")),
        ("a checkpoint", ("model.diffusion_model.", "first_stage_model.", "joint_blocks.")),
        ("a textual-inversion embedding", ("emb_params", "clip_l", "clip_g", "string_to_param")),
    )
    for kind, marks in kinds:
        if any(mark in key for key in keys for mark in marks):
            return f'is {kind}; expected a SoftREPA adapter, with a tensor "{TOKENS}".'
    found = ", ".join(sorted(keys)[:3]) or "none"
    return f'is not a SoftREPA adapter: expected a tensor "{TOKENS}", found {found}.'


def _content(
    name: str, tokens: Tensor, offsets: Tensor | None, metadata: Mapping[str, str]
) -> Content:
    for key, tensor, dimensions in ((TOKENS, tokens, (2, 3, 4)), (OFFSETS, offsets, (2,))):
        if tensor is None:
            continue
        if tensor.dim() not in dimensions or 0 in tensor.shape:
            raise AdapterError(
                f'{name} has "{key}" of shape {tuple(tensor.shape)}; expected '
                f"{' or '.join(map(str, dimensions))} dimensions, none of them empty."
            )
        if not tensor.is_floating_point():
            raise AdapterError(f'{name} has "{key}" in {tensor.dtype}; expected floating point.')
        if not torch.isfinite(tensor.float()).all():
            raise AdapterError(
                f'{name} has NaN or infinity in "{key}": the training that made it went wrong.'
            )
    tokens = tokens.detach().to(torch.float32, copy=True).contiguous()
    offsets = None if offsets is None else offsets.detach().to(torch.float32).contiguous()
    return Content(name, tokens, offsets, metadata)


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
    if len(text) > _LONGEST_HEADER:
        raise AdapterError(
            "The title, description and other words in this adapter take "
            f"{len(text) >> 20} MB; at most {_LONGEST_HEADER >> 20} MB can be read back."
        )
    return struct.pack("<Q", len(text)) + text + data
