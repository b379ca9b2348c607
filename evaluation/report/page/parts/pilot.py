"""A pilot's answer above everything else."""

from __future__ import annotations

from ...analysis.pilot import PilotAnswer
from ..markup import escaped

_COLOURS = {"go": "gain", "no-go": "loss"}


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
