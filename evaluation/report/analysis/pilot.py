"""What a trial's pilot ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PilotAnswer:
    """What a pilot ends in: `called` go, no-go or not yet, `answer` in a sentence, `parts` as
    headings with sentences below; `values` are the same for programs."""

    heading: str
    called: str
    answer: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    values: Mapping[str, Any]
