"""Captions that say the same in nearly the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SMALL = frozenset(
    "a an the and or of in on at with is are there this that photo picture image".split()
)
"""Words by which two captions may differ and mean the same picture."""


def alike(captions: Sequence[str]) -> list[list[str]]:
    """Groups of two or more distinct captions, equal but for case, punctuation, small words and
    spaces; the largest first."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for caption in dict.fromkeys(captions):
        words = re.findall(r"\w+", caption.casefold())
        groups.setdefault(tuple(w for w in words if w not in _SMALL), []).append(caption)
    return sorted((group for group in groups.values() if len(group) > 1), key=len, reverse=True)
