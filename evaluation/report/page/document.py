"""The report as one HTML file: no script, nothing loaded from anywhere, prints on A4."""

from __future__ import annotations

from collections.abc import Iterable

from ...trial import Trial
from ..analysis import Analysis, Comparison
from ..analysis.pilot import PilotAnswer
from ..analysis.scores import Row, ScorerResult
from ..texts import Texts
from ..wording import Scale, answer, p_value, warning
from .figures import Interval, bounds, svg
from .markup import cell_name, escaped, table, warnings
from .parts.cost import cost_part
from .parts.pairs import picture_pair
from .parts.pilot import pilot_part
from .parts.settings import settings
from .parts.votes import votes_part
from .style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(analysis: Analysis, trial: Trial, language: str, pilot: PilotAnswer | None = None) -> str:
    """The whole page; pictures are read from the trial."""
    texts, manifest = Texts(language), analysis.manifest
    title = escaped(texts.say("title", name=manifest.name))
    summary = texts.say(
        "summary", prompts=len(manifest.prompts), seeds=len(manifest.seeds),
        arms=len(manifest.arms), painted=analysis.painted, pictures=analysis.pictures,
    )  # fmt: skip
    sections = "".join(_comparison(each, trial, texts) for each in analysis.comparisons)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{title}</h1><p>{escaped(summary)}</p>"
        f"{warnings([warning(w, texts) for w in analysis.warnings], texts)}</header>"
        f"{pilot_part(pilot)}{sections}{cost_part(analysis, texts)}"
        f"{settings(analysis, trial, texts)}"
        f"<section><h2>{escaped(texts.say('how'))}</h2><p>{escaped(texts.say('how_units'))}</p>"
        f"<p>{escaped(texts.say('how_votes'))}</p></section></body></html>\n"
    )


def _comparison(comparison: Comparison, trial: Trial, texts: Texts) -> str:
    names = {"arm": comparison.arm, "base": comparison.base}
    parts = [
        f"<section><h2>{escaped(texts.say('comparison', **names))}</h2>",
        f'<p class="answer {comparison.called}">{escaped(answer(comparison, texts))}</p>',
    ]
    if comparison.scorers and not comparison.votes:
        parts.append(f"<p>{escaped(texts.say('no_eyes'))}</p>")
    parts.append(warnings([warning(w, texts) for w in comparison.warnings], texts))
    if comparison.scorers:
        parts.append(f"<h3>{escaped(texts.say('measures'))}</h3>")
        # Every scorer has a unit, and so an axis, of its own.
        rows = [
            _row(r.scorer, r.overall, Scale(r, texts), _reach([r.overall]))
            for r in comparison.scorers
        ]
        parts.append(table(_head(texts, "measure", comparison), rows))
    if comparison.votes:
        parts.append(votes_part(comparison, comparison.votes, texts))
    parts += [_by_category(comparison, result, texts) for result in comparison.scorers]
    for kind, pairs in (("wins", comparison.wins), ("losses", comparison.losses)):
        if pairs:
            shown = "".join(picture_pair(comparison, pair, trial, texts) for pair in pairs)
            heading = escaped(texts.say(kind, **names))
            parts.append(f'<h3>{heading}</h3><div class="pairs">{shown}</div>')
    return "".join(parts) + "</section>"


def _head(texts: Texts, first: str, comparison: Comparison) -> list[str]:
    words = [texts.say(first), texts.say("prompts"), comparison.base, comparison.arm]
    words += [texts.say(key) for key in ("difference", "interval")]
    return [*map(cell_name, words), "", escaped(texts.say("adjusted"))]


def _row(name: str, row: Row, scale: Scale, reach: float) -> list[str]:
    d = row.difference
    return [
        cell_name(name),
        str(d.prompts),
        scale.value(row.base),
        scale.value(row.arm),
        scale.difference(d.mean, False),
        scale.interval(row),
        svg(Interval(d.mean, d.low, d.high), 0.0, reach),
        escaped(p_value(row.adjusted)),
    ]


def _reach(rows: Iterable[Row]) -> float:
    found = [Interval(r.difference.mean, r.difference.low, r.difference.high) for r in rows]
    return bounds(found, 0.0)


def _by_category(comparison: Comparison, result: ScorerResult, texts: Texts) -> str:
    if not result.categories:
        return ""
    scale, reach = Scale(result, texts), _reach(result.categories.values())
    rows = [
        _row(texts.category(name), row, scale, reach) for name, row in result.categories.items()
    ]
    heading = escaped(texts.say("by_category", measure=result.scorer))
    return f"<h3>{heading}</h3>{table(_head(texts, 'category', comparison), rows)}"
