"""What was found in a data folder, for the user to read before a long run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """What the reading of a data folder came to; `str()` gives a few plain lines.

    `unreadable` holds the image and caption files that could not be read, with the reason.
    `uncaptioned` are images without a caption, `imageless` the captions (a `.txt`, or a line of
    `metadata.jsonl` or a COCO file) without an image. `duplicates` counts the captions beyond the
    first of the same words.
    """

    pairs: int
    captions: int
    duplicates: int = 0
    uncaptioned: tuple[Path, ...] = ()
    imageless: tuple[str, ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = field(default=())

    def __str__(self) -> str:
        lines = [f"pairs found: {self.pairs} images with {self.captions} captions"]
        counts = {
            "images without caption": len(self.uncaptioned),
            "captions without image": len(self.imageless),
            "unreadable files": len(self.unreadable),
            "duplicate captions": self.duplicates,
        }
        return "\n".join(lines + [f"{name}: {count}" for name, count in counts.items()])

    def write(self, path: Path) -> None:
        """Names every file that the counts speak of, one a line. Raises OSError."""
        lines = [str(self), ""]
        lines += [f"unreadable: {file} ({reason})" for file, reason in self.unreadable]
        lines += [f"image without caption: {file}" for file in self.uncaptioned]
        lines += [f"caption without image: {name}" for name in self.imageless]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
