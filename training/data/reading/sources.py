"""Where captions may stand, which of them count, and what a caption is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEXT, METADATA, COCO = ".txt", "metadata.jsonl", "COCO"
CAPTION, JSON, OTHER_KEY = ".caption", ".json", 'metadata.jsonl without "text"'
CSV, LIST = "metadata.csv", "a list in JSON"
RANK = {TEXT: 0, METADATA: 0, COCO: 0, CAPTION: 1, JSON: 2, OTHER_KEY: 3, CSV: 4, LIST: 5}
"""An image's captions are those of the lowest rank that has any; of equal rank they add up."""

KEYS = ("text", "caption", "captions", "prompt")
"""Names of the caption in a row, best first."""
KEYS_NAMED = '"text", "caption" or "prompt"'

# What no text has: control characters but white space, halves of characters, byte order marks.
_BROKEN = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class Row:
    """What one place gives to one file. `name` is as written there; `source` is a key of RANK.

    `mended`: characters that are none were left out of a caption. `keys`: what an entry without
    a caption holds instead.
    """

    place: Path
    name: str
    captions: tuple[str, ...]
    source: str
    mended: bool = False
    keys: str = ""


def clean(captions: Iterable[Any]) -> tuple[str, ...]:
    """Each caption once, without surrounding or repeated white space, blank ones left out.

    Composed (NFC), so that an accent written in two ways makes no two captions of one.
    """
    words = (" ".join(_sound(str(caption)).split()) for caption in captions)
    return tuple(dict.fromkeys(caption for caption in words if caption))


def mended(captions: Iterable[Any]) -> bool:
    """Whether `clean` leaves out characters of these: a half emoji, a control character."""
    return any(_BROKEN.search(str(caption).replace("\ufeff", "")) for caption in captions)


def row(place: Path, name: str, captions: Iterable[Any], source: str, keys: str = "") -> Row:
    """A row with its captions cleaned."""
    found = list(captions)
    return Row(place, name, clean(found), source, mended(found), keys)


def chosen(entry: dict[str, Any]) -> tuple[str, list[Any]] | None:
    """(key, captions) of the first caption key that holds any; None where there is none.

    Raises TypeError where `text` is neither text nor a list of texts; another key with such a
    value holds something else than captions.
    """
    for key in KEYS:
        value = entry.get(key)
        captions = value if isinstance(value, list) else [] if value is None else [value]
        if not all(_is_text(caption) for caption in captions):
            if key == KEYS[0]:
                raise TypeError(f'"{key}" is neither text nor a list of texts')
        elif clean(captions):
            return key, captions
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _sound(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _BROKEN.sub("", text))
