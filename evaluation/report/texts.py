"""Every sentence of a report, by language: one file each in `languages/`, with equal keys."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import EvaluationError

FOLDER = Path(__file__).parent / "languages"
CATEGORIES = ("single", "two", "number", "colour", "position", "attribution", "long", "style")


def languages() -> list[str]:
    """The languages that have a file."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


class Texts:
    """The sentences of one language. Raises EvaluationError for one that has no file.

    more: a folder with further sentences, a file a language.
    """

    def __init__(self, language: str, more: Path | None = None) -> None:
        if language not in languages():
            raise EvaluationError(
                f"A report is written in {', '.join(languages())}: choose one of them."
            )
        self._table: dict[str, str] = {}
        for folder in filter(None, (FOLDER, more)):
            path = folder / f"{language}.json"
            self._table |= json.loads(path.read_text(encoding="utf-8"))

    def say(self, key: str, **values: object) -> str:
        """A sentence with its values."""
        return self._table[key].format(**values)

    def category(self, name: str) -> str:
        """A category's name: translated where it is one of our own suite's."""
        return self._table[name] if name in CATEGORIES else name

    def measure(self, name: str) -> str:
        """A measure's name; scorers' are the same in every language."""
        return self._table["votes"] if name == "votes" else name
