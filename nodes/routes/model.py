"""The architecture of a model file, told by the names and shapes in its safetensors header.

No weight is read. What is not recognised with certainty (another format, quantised weights, another
network) is answered as unknown, so that no one is warned of a model that fits.
"""

from __future__ import annotations

import functools
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ...softrepa.families import describe
from .listed import FileTooLarge, listed_path
from .transformers import Shapes, numbered, transformer

FOLDERS = ("checkpoints", "diffusion_models")
LONGEST_HEADER = 8 << 20
"""Bytes; the header of a whole SDXL checkpoint has 0.3 MB."""
UNKNOWN: Mapping[str, Any] = {"architecture": None}
_PREFIXES = ("model.diffusion_model.", "net.", "")
_WHOLE_DTYPES = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
_CROSS_ATTENTION = re.compile(
    r"(input|middle|output)_block(?:s\.(\d+))?\.\d+\.transformer_blocks\.\d+\.attn2\.to_k\.weight"
)
_GROUPS = ("input", "middle", "output")


def model_facts(folder: str, name: str) -> dict[str, Any]:
    """Architecture, widths and blocks of a listed model file, or UNKNOWN.

    Raises ValueError for another folder or a damaged file, FileNotFoundError where the file is not
    listed, FileTooLarge where its header is.
    """
    if folder not in FOLDERS:
        raise ValueError(f"The folder must be one of {', '.join(FOLDERS)}.")
    path = listed_path(folder, name, folder_paths.get_filename_list(folder))
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return {"name": name, **UNKNOWN}
    state = path.stat()
    return {"name": name, **_facts(path, state.st_mtime_ns, state.st_size)}


@functools.lru_cache(maxsize=256)
def _facts(path: Path, modified: int, size: int) -> Mapping[str, Any]:
    """modified, size: so that a file that changed is read again."""
    shapes = _shapes(path, size)
    for prefix in _PREFIXES:
        found = _mmdit(shapes, prefix) or _unet(shapes, prefix) or _transformer(shapes, prefix)
        if found is not None:
            return found
    return UNKNOWN


def _shapes(path: Path, size: int) -> Shapes:
    """Tensor names and shapes; quantised tensors are left out, for their shapes mislead."""
    damaged = ValueError(f"{path.name} is truncated or damaged: download it again.")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= size - 8:
            raise damaged
        if length > LONGEST_HEADER:
            raise FileTooLarge(f"{path.name} has an unusually long header, so it is not read here.")
        text = file.read(length)
    try:
        header = json.loads(text)
        return {
            name: tuple(map(int, entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__" and entry["dtype"] in _WHOLE_DTYPES
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged from None


def _mmdit(shapes: Shapes, prefix: str) -> Mapping[str, Any] | None:
    if f"{prefix}joint_blocks.0.context_block.attn.qkv.weight" not in shapes:
        return None
    patches = shapes.get(f"{prefix}x_embedder.proj.weight", ())
    text = shapes.get(f"{prefix}context_embedder.weight", ())
    if len(patches) != 4 or len(text) != 2 or patches[0] != text[0]:
        return None
    hidden, raw = text
    return _found("mmdit", (hidden, raw), numbered(list(shapes), f"{prefix}joint_blocks."))


def _transformer(shapes: Shapes, prefix: str) -> Mapping[str, Any] | None:
    found = transformer(shapes, prefix)
    return None if found is None else _found(found[0], (found[1],), found[2])


def _unet(shapes: Shapes, prefix: str) -> Mapping[str, Any] | None:
    if f"{prefix}input_blocks.0.0.weight" not in shapes:
        return None
    if any("time_stack" in name for name in shapes):  # a video model, which SoftREPA leaves alone
        return None
    blocks: dict[tuple[int, int], str] = {}
    widths = set()
    for name, shape in shapes.items():
        match = _CROSS_ATTENTION.fullmatch(name, len(prefix)) if name.startswith(prefix) else None
        if match is not None and len(shape) == 2:
            group, number = match[1], int(match[2] or 0)
            blocks[_GROUPS.index(group), number] = f"{group}.{number}"
            widths.add(shape[1])
    if len(widths) != 1:
        return None
    return _found("unet", tuple(widths), [blocks[key] for key in sorted(blocks)])


def _found(architecture: str, widths: tuple[int, ...], blocks: list[str]) -> Mapping[str, Any]:
    """widths: those an adapter may have, the network's own first; offsets are added at that one."""
    return {
        "architecture": architecture,
        "family": describe(architecture, widths[0]),
        "widths": list(widths),
        "offset_width": widths[0],
        "blocks": blocks,
    }
