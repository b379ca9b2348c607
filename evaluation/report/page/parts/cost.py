"""What an arm costs, as a table."""

from __future__ import annotations

from ...analysis import Analysis
from ...analysis.cost import Cost, against
from ...texts import Texts
from ...wording import UNKNOWN
from ..markup import cell_name, escaped, table


def cost_part(analysis: Analysis, texts: Texts) -> str:
    """The section; nothing where no painter kept it."""
    if not analysis.costs:
        return ""
    keys = ("cost_arm", "cost_device", "cost_count", "cost_seconds", "cost_middle_half",
            "cost_first", "cost_against_base", "cost_memory")  # fmt: skip
    base = analysis.manifest.arms[0].name
    rows = [_row(cost, analysis, base) for cost in analysis.costs]
    head = [cell_name(texts.say(key)) for key in keys]
    return (
        f"<section><h2>{escaped(texts.say('cost'))}</h2>{table(head, rows)}"
        f"<p>{escaped(texts.say('how_cost'))}</p></section>"
    )


def _row(cost: Cost, analysis: Analysis, base: str) -> list[str]:
    more = against(cost, analysis.costs, base)
    return [
        cell_name(cost.arm),
        cell_name(cost.device or UNKNOWN),
        str(cost.pictures),
        seconds(cost.seconds),
        f"{seconds(cost.low)} … {seconds(cost.high)}",
        seconds(cost.first),
        UNKNOWN if more is None else f"{more:+.0%}",
        UNKNOWN if cost.memory is None else f"{cost.memory / 2**30:.2f} GiB",
    ]


def seconds(value: float) -> str:
    """Seconds, to the digits that tell."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
