"""Reading an adapter file of any known kind."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..adapter import PLACEMENTS, Adapter
from ..errors import AdapterError
from .importers import read_content
from .importers.content import Content
from .importers.native import LONGEST_HEADER, OFFSETS, TOKENS
from .torch_pickle import EmbeddingRecord, read_torch_pickle

SUFFIXES = (".safetensors", ".pth", ".pt")


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
    if not 2 <= length <= LONGEST_HEADER:
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
