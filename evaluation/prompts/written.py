"""Prompts as a text that a person types: the suite's name, a file's, or the prompts themselves."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import PromptsError
from ..trial.manifest import Prompt
from .files import as_prompt, numbered, read_prompts
from .suite import suite

_HEADING = re.compile(r"\[\s*([^\[\]]{1,60}?)\s*\]")
_FILES = (".txt", ".csv", ".tsv", ".jsonl")
_TYPED = Path("prompts")
"""What messages call prompts that lie in no file."""


def chosen_prompts(text: str, folder: Path | None = None) -> tuple[Prompt, ...]:
    """The prompts that a text stands for.

    `suite-en` or another language: the suite. One line that ends as a file of prompts does: that
    file, below `folder` where one is given and in no other place then. Anything else: a prompt a
    line, and a line such as `[number]` gives those below it that category. Raises PromptsError.
    """
    text = text.strip()
    if text.startswith("suite-") and "\n" not in text and " " not in text:
        return suite(text.removeprefix("suite-"))
    if "\n" not in text and text.lower().endswith(_FILES):
        return read_prompts(_file(text, folder))
    return _lines(text)


def names_file(text: str) -> bool:
    """Whether a text stands for a file of prompts."""
    return "\n" not in text.strip() and text.strip().lower().endswith(_FILES)


def _file(name: str, folder: Path | None) -> Path:
    if folder is None:
        return Path(name)
    path = folder / name.replace("\\", "/")
    # The spelling of the name decides, so that a link in the folder may lead elsewhere.
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):
        raise PromptsError(
            f"{name[:100]} lies outside {folder.name}: put the file of prompts there."
        )
    return path


def _lines(text: str) -> tuple[Prompt, ...]:
    category, prompts = "", []
    for at, line in enumerate(text.splitlines(), 1):
        heading = _HEADING.fullmatch(line.strip())
        if heading:
            category = heading[1]
        elif line.strip():
            prompts.append(as_prompt(_TYPED, at, {"text": line, "category": category}))
    return numbered(_TYPED, prompts)
