"""What was found in a data folder, for the user to read before a long run."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .buckets import Plan

_NOT_PRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, bytes of another encoding, line and paragraph separators."""


@dataclass(frozen=True)
class Report:
    """What the reading of a data folder came to; `str()` gives a few plain lines.

    `unreadable` holds the image, caption and other files that could not be read, with the reason;
    an image whose captions are among them is named there and is not `uncaptioned`.
    `unsupported` are pictures in formats that are not read, with what to do.
    `uncaptioned` are images without a caption, `imageless` the captions (a `.txt`, or a line of
    a list) without an image. `duplicates` counts the captions beyond the first of the same words.
    `sources` counts the images by where their captions stand; `passed_over` names captions that an
    image has besides, in a place that comes later. `notes` are the smaller things, one a line:
    what was read though it was not written as it should be.
    `others` counts files that are neither pictures nor captions, by suffix. `compared`: pictures
    beside a better one, which are none of the pairs.
    """

    pairs: int
    captions: int
    duplicates: int = 0
    uncaptioned: tuple[Path, ...] = ()
    imageless: tuple[str, ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()
    unsupported: tuple[tuple[Path, str], ...] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    compared: int = 0

    def __str__(self) -> str:
        lines = [f"pairs found: {self.pairs} images with {self.captions} captions"]
        counts = {
            "images without caption": len(self.uncaptioned),
            "captions without image": len(self.imageless),
            "unreadable files": len(self.unreadable),
            "duplicate captions": self.duplicates,
        }
        lines += [f"{name}: {count}" for name, count in counts.items()]
        if self.unreadable:
            path, reason = self.unreadable[0]
            lines.append(f"  the first: {path.name}: {reason}")
        further = {
            "pictures in formats that are not read": self.unsupported,
            "captions passed over, as the image has others": self.passed_over,
            "notes": self.notes,
        }
        lines += [f"{name}: {len(found)}" for name, found in further.items() if found]
        if self.unsupported:
            path, remedy = self.unsupported[0]
            lines.append(f"  the first: {path.name}: {remedy}")
        if self.compared:
            lines.append(f"worse pictures beside a better one: {self.compared}")
        if len(self.sources) > 1:
            lines.append(f"images by where their captions stand: {listed(self.sources)}")
        return "\n".join(map(printable, lines))

    def as_json(self) -> str:
        return json.dumps(
            {field.name: getattr(self, field.name) for field in fields(self)}, default=os.fspath
        )

    @classmethod
    def of_json(cls, text: str) -> Report:
        """What `as_json` wrote."""
        told = json.loads(text)
        told["uncaptioned"] = tuple(map(Path, told["uncaptioned"]))
        for name in ("unreadable", "unsupported"):
            told[name] = tuple((Path(path), reason) for path, reason in told[name])
        told = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
        return cls(**told)

    def show(self) -> None:
        """Prints the lines; what the terminal or the log has no character for is escaped."""
        encoding = sys.stdout.encoding or "utf-8"
        print(str(self).encode(encoding, "backslashreplace").decode(encoding))

    def write(self, path: Path, plan: Plan | None = None) -> None:
        """Names every file that the counts speak of, one a line. Raises OSError."""
        lines = [*str(self).split("\n"), ""]
        lines += [f"unreadable: {file}: {reason}" for file, reason in self.unreadable]
        lines += [f"not read: {file}: {remedy}" for file, remedy in self.unsupported]
        lines += [f"image without caption: {file}" for file in self.uncaptioned]
        lines += [f"caption without image: {name}" for name in self.imageless]
        lines += [f"caption passed over: {name}" for name in self.passed_over]
        lines += [f"note: {note}" for note in self.notes]
        if self.others:
            lines.append(f"other files, passed over: {listed(self.others)}")
        for crop in plan.crops if plan is not None else ():
            lines.append(
                f"cropped to {crop.size[0]}x{crop.size[1]}: {crop.image} (its nearest bucket, "
                f"{crop.nearest[0]}x{crop.nearest[1]}, has too few others; {crop.kept:.0%} is kept)"
            )
        path.write_text("\n".join(map(printable, lines)) + "\n", encoding="utf-8")


def listed(counts: Mapping[str, int]) -> str:
    """.txt 10, .caption 3"""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def printable(text: str) -> str:
    """One line of Unicode: what a file name may hold beyond it is escaped."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _NOT_PRINTED
        else char
        for char in text
    )
