"""Which pictures are worse than which: NAME.lose.png beside NAME.png, and preferences.jsonl."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInput
from . import text_files
from .names import Pictures

LOSE = ".lose"
LIST = "preferences.jsonl"
_EXAMPLE = '{"better": "a.png", "worse": "b.png", "text": "a cat"}'


@dataclass(frozen=True)
class Preference:
    """A picture that is better than another. text: a caption of it, "" where none is given."""

    better: Path
    worse: Path
    text: str = ""


def beside(images: Sequence[Path], owners: Callable[[str], Sequence[Path]]) -> Iterator[Preference]:
    """Those told by names. owners: the images of a path without its suffix."""
    for image in images:
        stem = os.path.splitext(image)[0]
        if stem.lower().endswith(LOSE):
            for better in owners(stem[: -len(LOSE)]):
                yield Preference(better, image)


def listed(path: Path, pictures: Pictures) -> Iterator[Preference]:
    """Those of a preferences.jsonl: a line each, "better" and "worse" as paths from its folder, and
    "text" where the better one has no caption elsewhere. Raises BadInput that names the line."""
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        better, worse, text = _entry(path, number, line)
        found, _ = pictures.resolve((better, worse), [path.parent])
        for name in (better, worse):
            if name not in found:
                raise BadInput(
                    f"{path}, line {number}: there is no picture {name}; correct or remove the "
                    "line."
                )
        yield Preference(found[better], found[worse], text)


def _entry(path: Path, number: int, line: str) -> tuple[str, str, str]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    values = entry if isinstance(entry, dict) else {}
    better, worse, text = values.get("better"), values.get("worse"), values.get("text", "")
    if not all(isinstance(each, str) for each in (better, worse, text)) or better == worse:
        raise BadInput(
            f"{path}, line {number}, is not an object such as {_EXAMPLE}; correct or remove the "
            "line."
        )
    return better, worse, text


def _lines(path: Path) -> list[str]:
    try:
        return text_files.read(path).split("\n")
    except text_files.NotText as error:
        raise BadInput(f"{path} {error}.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); correct or remove it.") from None
