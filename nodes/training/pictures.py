"""What is trained on: a folder below ComfyUI's input, or pictures and captions of other nodes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths
from PIL import Image
from torch import Tensor

from ...training.errors import BadInput


def input_folder() -> Path:
    """ComfyUI's own."""
    return Path(folder_paths.get_input_directory())


def folder_named(name: str) -> Path:
    """The folder of this name below ComfyUI's input. Raises BadInput where there is none."""
    root = input_folder()
    parts = [part for part in name.strip().replace("\\", "/").split("/") if part]
    path = root.joinpath(*parts)
    outside = os.path.isabs(name) or ".." in parts or any(":" in part for part in parts)
    if not parts or outside or "\0" in name:
        raise BadInput(f'"{name}" names no folder below ComfyUI\'s input: {_there(root)}.')
    if not path.is_dir():
        raise BadInput(f"There is no folder {name} in ComfyUI's input: {_there(root)}.")
    return path


def _there(root: Path) -> str:
    entries = sorted(root.iterdir()) if root.is_dir() else []
    found = [each.name for each in entries if each.is_dir() and each.name[0] != "."]
    if not found:
        return "make one there, with pictures and a .txt of each picture's name"
    return f"choose one, such as {', '.join(found[:5])}"


def state_of(name: str) -> str:
    """What changes when a file in the folder does; empty where there is no such folder."""
    try:
        folder = folder_named(name)
    except BadInput:
        return ""
    digest = hashlib.sha256()
    for place, folders, files in os.walk(folder):
        folders.sort()
        for each in sorted(files):
            found = os.stat(os.path.join(place, each))
            digest.update(repr((each, found.st_size, found.st_mtime_ns)).encode())
    return digest.hexdigest()


def write_folder(images: Sequence[Tensor], captions: Sequence[str]) -> Path:
    """Pictures and captions of other nodes as a folder in ComfyUI's temp, named by their contents.

    images: (B, H, W, C) in 0...1 each. Raises BadInput where their numbers differ.
    """
    pictures = [picture for batch in images for picture in batch]
    if len(pictures) != len(captions):
        raise BadInput(
            f"There are {len(pictures)} pictures and {len(captions)} captions: connect lists that "
            "belong together, a caption for each picture."
        )
    digest = hashlib.sha256(repr(list(captions)).encode())
    eighths = [(picture.clamp(0, 1) * 255).round().byte().cpu().numpy() for picture in pictures]
    for array in eighths:
        digest.update(repr(array.shape).encode() + array.tobytes())
    folder = Path(folder_paths.get_temp_directory()) / f"softrepa_pairs_{digest.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (array, caption) in enumerate(zip(eighths, captions, strict=True)):
        shown = array[..., 0] if array.shape[-1] == 1 else array
        Image.fromarray(shown).save(folder / f"{number:06}.png", compress_level=1)
        (folder / f"{number:06}.txt").write_text(caption, encoding="utf-8")
    return folder
