"""The report as one HTML file: no script, nothing loaded from anywhere, prints on A4."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ..statistics.rates import Rate
from ..trial import Trial
from .analysis import VOTES, Analysis, Comparison, pictures_of
from .figures import Interval, bounds, svg
from .scores import Row, ScorerResult
from .style import STYLE
from .texts import Texts
from .thumbnails import data_url
from .votes import VoteResult
from .wording import UNKNOWN, Scale, answer, p_value, percent, warning

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(analysis: Analysis, trial: Trial, language: str) -> str:
    """The whole page; pictures are read from the trial."""
    texts, manifest = Texts(language), analysis.manifest
    title = _text(texts.say("title", name=manifest.name))
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
        f"<header><h1>{title}</h1><p>{_text(summary)}</p>"
        f"{_warnings([warning(w, texts) for w in analysis.warnings], texts)}</header>"
        f"{sections}{_settings(analysis, texts)}"
        f"<section><h2>{_text(texts.say('how'))}</h2><p>{_text(texts.say('how_units'))}</p>"
        f"<p>{_text(texts.say('how_votes'))}</p></section></body></html>\n"
    )


def _text(text: object) -> str:
    return html.escape(str(text))


def _name(name: str) -> str:
    """A name for a narrow cell: a word too long for it may be broken, others may not."""
    words = (
        "<wbr>".join(_text(word[at : at + 6]) for at in range(0, len(word), 6))
        if len(word) > 14
        else _text(word)
        for word in name.split(" ")
    )
    return " ".join(words)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the first of each row names it."""
    above = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{above}</tr></thead><tbody>{body}</tbody></table>"


def _comparison(comparison: Comparison, trial: Trial, texts: Texts) -> str:
    names = {"arm": comparison.arm, "base": comparison.base}
    parts = [
        f"<section><h2>{_text(texts.say('comparison', **names))}</h2>",
        f'<p class="answer {comparison.called}">{_text(answer(comparison, texts))}</p>',
    ]
    if comparison.scorers and not comparison.votes:
        parts.append(f"<p>{_text(texts.say('no_eyes'))}</p>")
    parts.append(_warnings([warning(w, texts) for w in comparison.warnings], texts))
    if comparison.scorers:
        parts.append(f"<h3>{_text(texts.say('measures'))}</h3>")
        # Every scorer has a unit, and so an axis, of its own.
        rows = [
            _row(r.scorer, r.overall, Scale(r, texts), _reach([r.overall]))
            for r in comparison.scorers
        ]
        parts.append(_table(_head(texts, "measure", comparison), rows))
    if comparison.votes:
        parts.append(_votes(comparison, comparison.votes, texts))
    parts += [_by_category(comparison, result, texts) for result in comparison.scorers]
    for kind, pairs in (("wins", comparison.wins), ("losses", comparison.losses)):
        if pairs:
            shown = "".join(_pair(comparison, pair, trial, texts) for pair in pairs)
            heading = _text(texts.say(kind, **names))
            parts.append(f'<h3>{heading}</h3><div class="pairs">{shown}</div>')
    return "".join(parts) + "</section>"


def _warnings(sentences: Sequence[str], texts: Texts) -> str:
    if not sentences:
        return ""
    listed = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    heading = _text(texts.say("warnings"))
    return f'<div class="warned"><strong>{heading}</strong><ul>{listed}</ul></div>'


def _head(texts: Texts, first: str, comparison: Comparison) -> list[str]:
    words = [texts.say(first), texts.say("prompts"), comparison.base, comparison.arm]
    words += [texts.say(key) for key in ("difference", "interval")]
    return [*map(_name, words), "", _text(texts.say("adjusted"))]


def _row(name: str, row: Row, scale: Scale, reach: float) -> list[str]:
    d = row.difference
    return [
        _name(name),
        str(d.prompts),
        scale.value(row.base),
        scale.value(row.arm),
        scale.difference(d.mean, False),
        scale.interval(row),
        svg(Interval(d.mean, d.low, d.high), 0.0, reach),
        _text(p_value(row.adjusted)),
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
    heading = _text(texts.say("by_category", measure=result.scorer))
    return f"<h3>{heading}</h3>{_table(_head(texts, 'category', comparison), rows)}"


def _votes(comparison: Comparison, votes: VoteResult, texts: Texts) -> str:
    decision = votes.decision
    counts = texts.say(
        "vote_counts", arm=comparison.arm, base=comparison.base, won=decision.won,
        lost=decision.lost, ties=votes.ties, both_bad=votes.both_bad, voters=votes.voters,
        prompts=decision.prompts,
    )  # fmt: skip
    said = [counts]
    if decision.planned:
        said.append(texts.say("planned", planned=decision.planned, decisive=decision.decisive))
    if votes.agreement == votes.agreement:
        said.append(texts.say("agreement", alpha=f"{votes.agreement:.2f}"))
    if votes.consistency:
        rate = votes.consistency
        said.append(texts.say("consistency", right=rate.right, count=rate.count))
    parts = [f"<h3>{_text(texts.say('votes'))}</h3>"]
    parts += [f"<p>{_text(sentence)}</p>" for sentence in said]
    if votes.categories:
        parts.append(_vote_table(votes, texts))
    if comparison.follows:
        head = [texts.say(key) for key in ("measure", "same_arm", "tau")]
        rows = [
            [_name(f.scorer), _rate(f.same),
             UNKNOWN if f.tau != f.tau else f"{f.tau:.2f}"]
            for f in comparison.follows
        ]  # fmt: skip
        parts.append(f"<h3>{_text(texts.say('follows'))}</h3>{_table([*map(_text, head)], rows)}")
    return "".join(parts)


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return UNKNOWN
    return f"{percent(rate.share)} ({percent(rate.low)} … {percent(rate.high)})"


def _vote_table(votes: VoteResult, texts: Texts) -> str:
    rows = []
    for name, counted in votes.categories.items():
        rate = counted.share
        drawn = svg(Interval(rate.share, rate.low, rate.high), 0.5, 0.5) if rate else ""
        interval = f"{percent(rate.low)} … {percent(rate.high)}" if rate else UNKNOWN
        rows.append(
            [_name(texts.category(name)), str(counted.won), str(counted.lost),
             percent(rate.share) if rate else UNKNOWN, interval, drawn,
             _text(p_value(counted.adjusted))]
        )  # fmt: skip
    keys = ("category", "prompts_won", "prompts_lost", "share_won", "interval")
    head = [*(_text(texts.say(key)) for key in keys), "", _text(texts.say("adjusted"))]
    return _table(head, rows)


def _pair(comparison: Comparison, pair: tuple[str, int], trial: Trial, texts: Texts) -> str:
    prompt = trial.manifest.prompt(pair[0])
    sides = ""
    for cell in pictures_of(comparison, pair):
        url = data_url(trial, cell)
        shown = f'<img src="{url}" alt="">' if url else f"<span>{UNKNOWN}</span>"
        sides += f"<div>{shown}<small>{_text(cell.arm)}</small></div>"
    values = [
        f"{r.scorer} {Scale(r, texts).difference(r.by_pair[pair], False)}"
        for r in comparison.scorers
        if pair in r.by_pair
    ]
    if comparison.votes and pair in comparison.votes.by_pair:
        values.append(f"{texts.measure(VOTES)} {comparison.votes.by_pair[pair]:+.1f}")
    told = " · ".join([texts.say("seed", seed=pair[1]), *values])
    words = prompt.text if len(prompt.text) <= 160 else f"{prompt.text[:157]}…"
    return (
        f"<figure>{sides}<figcaption>{_text(words)}<br><small>{_text(told)}</small></figcaption>"
        "</figure>"
    )


def _settings(analysis: Analysis, texts: Texts) -> str:
    manifest, sampling = analysis.manifest, analysis.manifest.sampling
    plain = {k: v for k, v in vars(sampling).items() if k != "details"} | dict(sampling.details)
    rows = [
        ["created", manifest.created],
        ["sampling", ", ".join(f"{key} {value}" for key, value in plain.items())],
        ["seeds", ", ".join(map(str, manifest.seeds))],
        ["host", ", ".join(f"{key} {value}" for key, value in manifest.host.items())],
        ["pilot", manifest.pilot or UNKNOWN],
        ["scorers", "; ".join(f"{k} {' '.join(v)}" for k, v in analysis.weights.items())],
    ]
    told = [[_text(texts.say(key)), _text(value)] for key, value in rows]
    for arm in manifest.arms:
        models = "<br>".join(_text(_model(vars(model))) for model in arm.models)
        more = _text(", ".join(f"{key} {value}" for key, value in arm.details.items()))
        told.append([_name(arm.name), f"{models}<br>{more}" if more else models])
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in told)
    return (
        f"<section><h2>{_text(texts.say('settings'))}</h2>"
        f'<table class="settings"><tbody>{body}</tbody></table></section>'
    )


def _model(values: dict) -> str:
    more = {k: v for k, v in values.items() if k not in ("kind", "name", "sha256", "details")}
    more = {k: v for k, v in (more | dict(values["details"])).items() if v not in (None, "")}
    told = "".join(f", {key} {value}" for key, value in more.items())
    return f"{values['kind']} {values['name']}{told}: {values['sha256']}"
