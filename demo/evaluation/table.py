"""Rates with and without an adapter, as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from ...evaluation.statistics.rates import Paired, paired
from ..world.judge import ATTRIBUTES, Verdict
from .evaluate import rates


def table(before: Sequence[Verdict], after: Sequence[Verdict]) -> str:
    """A row an attribute: both rates with Wilson's intervals, and McNemar's test of the change."""
    first, second = rates(before), rates(after)
    lines = [
        "| right | without | with | gain | gained, lost | p |",
        "|---|---|---|---|---|---|",
    ]
    for name in ATTRIBUTES:
        change = paired([v.as_dict()[name] for v in before], [v.as_dict()[name] for v in after])
        lines.append(
            f"| {name} | {first[name]} | {second[name]} | {gain(change)} "
            f"| {change.gained}, {change.lost} | {change.p:.2g} |"
        )
    return "\n".join(lines)


def gain(change: Paired) -> str:
    """In percentage points, with its 95 % interval."""
    return f"{100 * change.gain:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
