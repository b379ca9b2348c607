"""A pilot's answer above everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .markup import escaped

_COLOURS = {"go": "gain", "no-go": "loss"}


@dataclass(frozen=True)
class PilotAnswer:
    """What a pilot ends in: `called` go, no-go or not yet, `answer` in a sentence, `parts` as
    headings with sentences below; `values` are the same for programs."""

    heading: str
    called: str
    answer: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    values: Mapping[str, Any]


def pilot_part(pilot: PilotAnswer | None) -> str:
    """The section; nothing for a trial that is no pilot."""
    if pilot is None:
        return ""
    listed = "".join(
        f"<h3>{escaped(heading)}</h3><ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}"
        "</ul>"
        for heading, lines in pilot.parts
    )
    colour = _COLOURS.get(pilot.called, "undecided")
    return (
        f"<section><h2>{escaped(pilot.heading)}</h2>"
        f'<p class="answer {colour}"><strong>{escaped(pilot.answer)}</strong></p>{listed}</section>'
    )
