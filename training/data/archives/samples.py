"""One sample of an archive while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..reading import sources


@dataclass
class Sample:
    """A picture with what belongs to it. key: what its files share. name: where its picture lies in
    the archive. contents: the picture's bytes. faults: files that cannot be read, and why."""

    key: str
    name: str = ""
    contents: bytes | None = None
    negatives: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    _found: dict[str, list[Any]] = field(default_factory=dict)

    def give(self, source: str, captions: Sequence[Any]) -> None:
        self._found.setdefault(source, []).extend(captions)

    @property
    def best(self) -> tuple[str, tuple[str, ...]] | None:
        """Where the captions that count stand, and these."""
        for source in sorted(self._found, key=sources.RANK.__getitem__):
            if captions := sources.clean(self._found[source]):
                return source, captions
        return None
