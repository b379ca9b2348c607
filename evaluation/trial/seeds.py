"""Seeds as people write them: numbers and ranges."""

from __future__ import annotations

import re

from ..errors import TrialError

_PART = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_MOST = 1000
_LARGEST = 2**64 - 1


def chosen_seeds(text: str) -> tuple[int, ...]:
    """The seeds in "1-4, 7", in that order. Raises TrialError, in one sentence."""
    found: dict[int, None] = {}
    for part in re.split(r"[,;\s]+", re.sub(r"\s*-\s*", "-", text.strip())):
        match = _PART.fullmatch(part)
        if match is None:
            raise TrialError(
                f"seeds cannot be {text[:40]!r}: write numbers and ranges, such as 1-4, 7."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= _LARGEST or last - first >= _MOST:
            raise TrialError(
                f"seeds cannot have {part}: a range goes upwards and has at most {_MOST} numbers."
            )
        found |= dict.fromkeys(range(first, last + 1))
    if len(found) > _MOST:
        raise TrialError(f"seeds has {len(found)} numbers: at most {_MOST} are painted.")
    return tuple(found)
