"""Prompts from files as people have them; each kind is told by its name and content."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import PromptsError, TrialError
from ..trial.checks import Checked
from ..trial.manifest import Prompt, read_prompt

LARGEST = 32 << 20
"""Bytes."""
_NAMES = {
    "text": ("text", "prompt", "caption", "prompts", "captions"),
    "category": ("category", "tag"),
    "id": ("id",),
    "language": ("language", "lang"),
}
_GENEVAL = {
    "single_object": "single",
    "two_object": "two",
    "counting": "number",
    "colors": "colour",
    "position": "position",
    "color_attr": "attribution",
}
_COMPBENCH = re.compile(
    r"(color|shape|texture|spatial|3d_spatial|non_spatial|numeracy|complex)"
    r"(_(?:train|val)(?:_[a-z]+)?)?"
)


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts in a file; one that stands there twice is taken once.

    `.txt`: a prompt a line (T2I-CompBench's files give their category by their name). `.csv`,
    `.tsv`: with a header that has `text`, `prompt` or `caption`, and perhaps `category`, `id`,
    `language`. `.jsonl`: an object a line with the same names, or GenEval's `tag`, `include`,
    `exclude`. Raises PromptsError, in one sentence, where it cannot be read.
    """
    path = Path(path)
    content = _content(path)
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        entries: Iterable[Mapping[str, Any]] = _json_lines(path, content)
    elif suffix in (".csv", ".tsv"):
        entries = _table(path, content, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".txt":
        entries = _lines(path, content)
    else:
        raise PromptsError(f"{path.name} is no .txt, .csv, .tsv or .jsonl file of prompts.")
    return numbered(path, [as_prompt(path, at, entry) for at, entry in enumerate(entries, 1)])


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise PromptsError(
            f"{path} cannot be read ({error.strerror}): name a file of prompts."
        ) from None
    if len(data) > LARGEST:
        raise PromptsError(
            f"{path.name} is larger than {LARGEST >> 20} MB: it is no file of prompts."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PromptsError(f"{path.name} is not in UTF-8: save it as UTF-8.") from None


def _lines(path: Path, content: str) -> list[dict[str, Any]]:
    known = _COMPBENCH.fullmatch(path.stem)
    category = known.group(1) if known else ""
    return [{"text": line, "category": category} for line in content.splitlines() if line.strip()]


def _table(path: Path, content: str, separator: str) -> list[dict[str, Any]]:
    try:
        rows = list(csv.DictReader(io.StringIO(content), delimiter=separator, strict=True))
    except csv.Error as error:
        raise PromptsError(f"{path.name} is no sound table ({error}).") from None
    # A row longer than its header has what is left over under None.
    return [
        {name.strip().lower(): value or "" for name, value in row.items() if name} for row in rows
    ]


def _json_lines(path: Path, content: str) -> list[dict[str, Any]]:
    found = []
    for at, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise PromptsError(f"{path.name}, line {at}, is no JSON object.")
        found.append(entry)
    return found


def as_prompt(path: Path, at: int, entry: Mapping[str, Any]) -> Prompt:
    """A prompt from an entry's known names; its id is "" where it has none."""
    found = {
        key: next((entry[name] for name in names if entry.get(name) not in (None, "")), "")
        for key, names in _NAMES.items()
    }
    if isinstance(found["id"], int):
        found["id"] = f"{found['id']:04d}"
    if isinstance(found["text"], str):
        found["text"] = found["text"].strip()
    if not found["text"]:
        raise PromptsError(
            f"{path.name}: entry {at} has no prompt under one of the names text, prompt, caption."
        )
    if "include" in entry and isinstance(found["category"], str):
        found["category"] = _GENEVAL.get(found["category"], found["category"])
    checked = {
        **found,
        "id": found["id"] or "none",
        "expected": entry.get("include", entry.get("expected")),
        "excluded": entry.get("exclude", entry.get("excluded")),
    }
    try:
        prompt = read_prompt(Checked(checked, f"{path.name}: entry {at}"))
    except TrialError as error:
        raise PromptsError(str(error)) from None
    return prompt if found["id"] else replace(prompt, id="")


def numbered(path: Path, prompts: list[Prompt]) -> tuple[Prompt, ...]:
    """The prompts without doubles, those without an id numbered."""
    first: dict[tuple[str, str], Prompt] = {}
    for prompt in prompts:
        first.setdefault((prompt.text, prompt.category), prompt)
    different = list(first.values())
    if not different:
        raise PromptsError(f"{path.name} holds no prompt.")
    width = max(4, len(str(len(different))))
    found = [
        prompt if prompt.id else replace(prompt, id=f"{at:0{width}d}")
        for at, prompt in enumerate(different, 1)
    ]
    ids = [prompt.id.casefold() for prompt in found]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise PromptsError(f"{path.name} has the id {twice} twice: give every prompt its own.")
    return tuple(found)
