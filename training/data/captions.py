"""Captions as they lie in a data folder: text files, metadata.jsonl and COCO's JSON."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput

METADATA = "metadata.jsonl"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Row:
    """The captions that a table gives to one file; `name` is as written there."""

    table: Path
    name: str
    captions: tuple[str, ...]


def read_text(path: Path) -> tuple[str, ...]:
    """The lines of a caption file that are not blank, each a caption.

    UTF-8, or UTF-16 with a byte order mark. Raises OSError and UnicodeDecodeError.
    """
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw.startswith(_WIDE_MARKS) else "utf-8-sig")
    return clean(text.splitlines())


def clean(captions: Any) -> tuple[str, ...]:
    """Each caption once, without surrounding or repeated white space, blank ones left out."""
    words = (" ".join(str(caption).split()) for caption in captions)
    return tuple(dict.fromkeys(caption for caption in words if caption))


def read_metadata(path: Path) -> Iterator[Row]:
    """The rows of a `metadata.jsonl` as Hugging Face's imagefolder has it.

    `text` is a caption or a list of them. Raises BadInput that names the line.
    """
    try:
        lines = read_lines(path)
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _json_object(line)
        if row is None or not isinstance(row.get("file_name"), str):
            raise BadInput(
                f'{path}, line {number}, is not an object such as {{"file_name": "cat.png", '
                '"text": "a cat"}; correct or remove the line.'
            )
        text = row.get("text")
        captions = text if isinstance(text, list) else [] if text is None else [text]
        yield Row(path, row["file_name"], clean(captions))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file. JSON keeps its own line separators, so only newlines count."""
    return path.read_text(encoding="utf-8-sig").split("\n")


def read_coco(path: Path) -> Iterator[Row]:
    """The rows of a COCO captions file; nothing where the JSON is of another kind.

    Raises BadInput where it is COCO's by its keys but an entry is incomplete.
    """
    table = _json_object(path.read_bytes().decode("utf-8-sig", errors="replace"))
    if table is None or not _is_coco(table):
        return
    captions: dict[Any, list[str]] = {}
    names: dict[Any, str] = {}
    try:
        for image in table["images"]:
            names[image["id"]] = image["file_name"]
        for annotation in table["annotations"]:
            captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"{path} is not a complete COCO captions file (an entry lacks {error}); every image "
            "needs id and file_name, every annotation image_id and caption."
        ) from None
    for key, found in captions.items():
        yield Row(path, str(names.get(key, f"image {key}")), clean(found))


def _is_coco(table: dict[str, Any]) -> bool:
    images, annotations = table.get("images"), table.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list) or not annotations:
        return False
    return isinstance(annotations[0], dict) and "caption" in annotations[0]


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
