"""Lists of captions: metadata.jsonl, metadata.csv, COCO's JSON, and lists of other trainers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ..pictures.images import EXTENSIONS
from . import text_files
from .sources import COCO, CSV, JSON, KEYS_NAMED, LIST, METADATA, OTHER_KEY, Row, chosen, row

SHORT_CAPTION = "caption_short"
"""ai-toolkit's second caption in a picture's .json."""
_UNLIKELY = 64 << 20
"""Bytes of a JSON file, above which it is parsed only where it speaks of captions."""
_EXAMPLE = '{"file_name": "cat.png", "text": "a cat"}'


class NotRead(ValueError):
    """Why a list is passed over, to follow its name: "is no valid JSON (...)"."""


def read_metadata(path: Path) -> Iterator[Row]:
    """The rows of a `metadata.jsonl` as Hugging Face's imagefolder has it.

    `text`, or else `caption` or `prompt`, is a caption or a list of them. Raises BadInput that
    names the line.
    """
    # JSON keeps its own line separators, so only newlines count.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        entry = _entry(line)
        if entry is None or not isinstance(entry.get("file_name"), str):
            found = "" if entry is None else f" (its keys are {keys(entry)})"
            raise BadInput(
                f"{path}, line {number}, is not an object such as {_EXAMPLE}{found}; correct or "
                "remove the line."
            )
        try:
            key, captions = chosen(entry) or ("", [])
        except TypeError as error:
            raise BadInput(f"{path}, line {number}: {error}; correct the line.") from None
        source = OTHER_KEY if key not in ("", "text") else METADATA
        yield row(path, entry["file_name"], captions, source, "" if key else keys(entry))


def read_csv(path: Path) -> list[Row]:
    """The rows of a `metadata.csv`: a header with file_name and a caption's name, then a line each.

    Separated by commas, semicolons or tabs. Raises OSError, and NotRead that names the line.
    """
    try:
        text = text_files.read(path)
    except text_files.NotText as error:
        raise NotRead(str(error)) from None
    header = text.lstrip().partition("\n")[0]
    separator = max(",;\t", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    found: list[Row] = []
    names: list[str] = []
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = [cell.strip() for cell in cells]
                _check_header(names)
                continue
            if len(cells) != len(names):
                raise NotRead(
                    f"has {len(cells)} columns in line {lines.line_num} and {len(names)} in its "
                    f"header; put captions that hold a {_spelt(separator)} in double quotes"
                )
            entry = dict(zip(names, cells, strict=True))
            captions = chosen(entry)
            found.append(row(path, entry["file_name"], captions[1] if captions else [], CSV))
    except csv.Error as error:
        raise NotRead(f"is no valid CSV in line {lines.line_num} ({error})") from None
    return found


def read_json(path: Path) -> Any:
    """A JSON file's value; None where it is large and of no captions. Raises OSError, NotRead."""
    try:
        if path.stat().st_size > _UNLIKELY:
            raw = path.read_bytes()
            if b"caption" not in raw and b'"tags"' not in raw and not raw.count(0):
                return None
            del raw
        return json.loads(text_files.read(path))
    except text_files.NotText as error:
        raise NotRead(str(error)) from None
    except RecursionError:
        raise NotRead("is nested too deeply to be read") from None
    except ValueError as error:
        raise NotRead(f"is no valid JSON ({error})") from None


def sidecar(path: Path, image: str, value: Any) -> Row | None:
    """The caption in a picture's own JSON, {"caption": "a cat"}; None where it holds none.

    Raises NotRead where there is something else than text.
    """
    if not isinstance(value, dict):
        return None
    try:
        found = chosen(value)
        short = chosen({"caption": value.get(SHORT_CAPTION)})
    except TypeError as error:
        raise NotRead(f"gives no caption: {error}") from None
    captions = [caption for each in (found, short) if each is not None for caption in each[1]]
    return row(path, image, captions, JSON) if captions else None


def rows(path: Path, value: Any) -> list[Row] | None:
    """The rows of a list of captions in JSON; None where the value is no such list.

    COCO's, an object of objects by file as sd-scripts has it, or an array of metadata.jsonl's
    rows. Raises BadInput where it is COCO's by its keys but an entry is incomplete, and NotRead.
    """
    if isinstance(value, dict) and _is_coco(value):
        return list(_coco(path, value))
    try:
        if isinstance(value, dict):
            return _by_file(path, value)
        if isinstance(value, list) and value:
            return _array(path, value)
    except TypeError as error:
        raise NotRead(f"gives no captions: {error}") from None
    return None


def _coco(path: Path, table: dict[str, Any]) -> Iterator[Row]:
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
        yield row(path, str(names.get(key, f"image {key}")), found, COCO)


def _is_coco(table: dict[str, Any]) -> bool:
    images, annotations = table.get("images"), table.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list) or not annotations:
        return False
    return isinstance(annotations[0], dict) and "caption" in annotations[0]


def _by_file(path: Path, table: dict[str, Any]) -> list[Row] | None:
    if table and all(isinstance(entry, dict) for entry in table.values()):
        if not any(entry.keys() & {"caption", "tags"} for entry in table.values()):
            return None
        return [row(path, name, _tagged(entry), LIST) for name, entry in table.items()]
    captioned = bool(table) and all(
        isinstance(entry, str) and Path(name).suffix.lower() in EXTENSIONS
        for name, entry in table.items()
    )
    return [row(path, name, [entry], LIST) for name, entry in table.items()] if captioned else None


def _tagged(entry: dict[str, Any]) -> list[str]:
    """sd-scripts' caption followed by its tags, as it trains on them."""
    found = chosen(entry)
    tags = entry.get("tags")
    tagged = [tags] if isinstance(tags, str) and tags.strip() else []
    if found is None:
        return tagged
    return [", ".join([str(caption), *tagged]) for caption in found[1]]


def _array(path: Path, entries: list[Any]) -> list[Row] | None:
    named = (isinstance(each, dict) and isinstance(each.get("file_name"), str) for each in entries)
    if not all(named):
        return None
    found = [(each["file_name"], chosen(each)) for each in entries]
    if all(captions is None for _, captions in found):
        return None
    return [row(path, name, captions[1] if captions else [], LIST) for name, captions in found]


def _text(path: Path) -> str:
    try:
        return text_files.read(path)
    except text_files.NotText as error:
        raise BadInput(f"{path} {error}.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); correct or remove it.") from None


def _entry(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _check_header(names: list[str]) -> None:
    if "file_name" not in names or not chosen(dict.fromkeys(names, "x")):
        raise NotRead(
            f"must name the columns file_name and {KEYS_NAMED} in its first line, which says "
            f"{keys(names)}"
        )


def keys(names: Any) -> str:
    """The first few keys of an entry, for a message."""
    return ", ".join(str(name)[:40] for name in list(names)[:8])


def _spelt(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}[separator]
