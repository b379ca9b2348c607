"""Append-only records: one JSON object a line, safe against kills and several writers."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import locked

_LONGEST = 1 << 16


@dataclass(frozen=True)
class Score:
    """What a scorer says of one picture.

    `picture`: SHA-256 of the picture's file; `weights`: SHA-256 of what the scorer is made of,
    or "" where it has no file. `details` are further plain values, such as seconds.
    """

    arm: str
    prompt: str
    seed: int
    scorer: str
    value: float
    picture: str
    weights: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Arm, prompt, seed and scorer: one score of each counts."""
        return self.arm, self.prompt, self.seed, self.scorer

    def entry(self) -> dict[str, Any]:
        """The object of its line."""
        known = {k: v for k, v in vars(self).items() if k != "details"}
        return {**self.details, **known}


def append(path: Path, lock: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Adds lines, on the disk before this returns; a line torn by a kill is dropped first.

    All or none of them are there where the disk is full. Raises OSError.
    """
    lines = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries]
    if not lines:
        return
    data = "".join(f"{line}\n" for line in lines).encode()
    with locked(lock), path.open("a+b") as file:
        end = _last_line_end(file)
        try:
            file.truncate(end)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.truncate(path, end)
            raise


def _last_line_end(file: Any) -> int:
    """The offset behind the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _LONGEST)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects, in order; lines that are torn, damaged or no objects are left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        while line := file.readline():
            if not line.endswith(b"\n") or len(line) > _LONGEST:
                continue
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def as_score(entry: Mapping[str, Any]) -> Score | None:
    """The score in a line's object; None where it is none."""
    rest = dict(entry)
    texts = [rest.pop(name, "") for name in ("arm", "prompt", "scorer", "picture", "weights")]
    seed, value = rest.pop("seed", None), rest.pop("value", None)
    if not all(isinstance(text, str) for text in texts) or not all(texts[:4]):
        return None
    if type(seed) is not int or type(value) not in (int, float) or not math.isfinite(value):
        return None
    arm, prompt, scorer, picture, weights = texts
    return Score(arm, prompt, seed, scorer, float(value), picture, weights, rest)
