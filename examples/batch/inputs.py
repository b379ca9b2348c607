"""What the user gives to the batch: prompts, seeds, adapters and a graph."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a file begins, by what it is encoded in; UTF-32's mark begins as UTF-16's does."""


def read_text(path: Path) -> str:
    """A text file in UTF-8, or in UTF-16 or 32 where it begins with a mark. Raises ValueError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path} is not in UTF-8: save it as UTF-8.")
    return text


def read_prompts(path: Path) -> list[str]:
    """One prompt a line; empty lines count for nothing. Raises ValueError."""
    prompts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not prompts:
        raise ValueError(f"{path} holds no prompt: write one a line.")
    return prompts


def read_seeds(text: str) -> list[int]:
    """Numbers and ranges, such as 1-4,7. Raises ValueError."""
    seeds: list[int] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+))?\s*", item)
        if match is None:
            raise ValueError(f'"{item}" is no seed: write numbers and ranges such as 1-4,7.')
        found = range(int(match[1]), int(match[2] or match[1]) + 1)
        if not found:
            raise ValueError(f'"{item}" is an empty range: write the smaller number first.')
        seeds += found
    return seeds


def read_adapters(text: str) -> list[str]:
    """Names between commas, with forward slashes; "none" for the bare model. Raises ValueError."""
    names = [name.strip().replace("\\", "/") for name in text.split(",")]
    names = ["none" if name.lower() == "none" else name for name in names if name]
    if not names:
        raise ValueError("--adapters names nothing: give file names, or none for the bare model.")
    return names


def read_graph(path: Path) -> dict[str, dict[str, Any]]:
    """A graph in API format. Raises ValueError."""
    try:
        graph = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON ({error}).") from None
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise ValueError(
            f"{path} is a workflow as the page saves it: save it with File > Export (API)."
        )
    nodes = graph.values() if isinstance(graph, dict) else [None]
    if not all(
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
        for node in nodes
    ):
        raise ValueError(f"{path} is no graph in API format: save one with File > Export (API).")
    return graph
