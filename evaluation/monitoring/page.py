"""The page: every series drawn, its shifts in words, its versions in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..report.page.document import POLICY
from ..report.page.markup import cell_name, escaped, table, warnings
from ..report.page.style import STYLE
from ..report.texts import Texts
from ..report.wording import UNKNOWN
from .drawing import colour, date, svg
from .series import Marked, Series, Stretch
from .wording import added, base_name, digits, shift_sentences, texts_of

_STYLE = """
svg.series { width: 100%; height: auto; margin: 8px 0 }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 6px }
section td { white-space: nowrap }
"""


def page(found: Sequence[Series], unsound: int, language: str) -> str:
    """One HTML file that loads nothing. unsound: rows that were left out."""
    texts = texts_of(language)
    title = escaped(texts.say("monitor_title"))
    more = [texts.say("monitor_unsound", count=unsound)] if unsound else []
    answer = "".join(_answer(one, mark, texts) for one in found for mark in one.marks)
    if found and not answer:
        answer = f'<p class="answer">{escaped(texts.say("monitor_quiet"))}</p>'
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}{_STYLE}</style></head><body>"
        f"<header><h1>{title}</h1><p>{escaped(summary(found, texts))}</p>"
        f"{warnings(more, texts)}</header>{answer}"
        f"{''.join(_section(one, texts) for one in found)}"
        f"<section><h2>{escaped(texts.say('how'))}</h2>"
        f"<p>{escaped(texts.say('monitor_dots'))}</p><p>{escaped(texts.say('monitor_how'))}</p>"
        "</section></body></html>\n"
    )


def summary(found: Sequence[Series], texts: Texts) -> str:
    """How much there is, from when to when."""
    points = [point for one in found for point in one.points]
    if not points:
        return texts.say("monitor_empty")
    times = [point.time for point in points]
    return texts.say(
        "monitor_summary",
        pictures=sum(point.pictures for point in points),
        texts=len({point.text for point in points}),
        first=date(min(times)),
        last=date(max(times)),
    )


def _answer(one: Series, mark: Marked, texts: Texts) -> str:
    colour = "gain" if mark.shift.after > mark.shift.before else "loss"
    return f'<p class="answer {colour}">{escaped(shift_sentences(one, mark, texts))}</p>'


def _section(one: Series, texts: Texts) -> str:
    heading = texts.say("monitor_series", scorer=one.scorer, model=base_name(one, texts))
    said = "".join(f"<li>{escaped(shift_sentences(one, mark, texts))}</li>" for mark in one.marks)
    keys = ("version", "texts", "pictures", "mean")
    head = [*(escaped(texts.say(f"monitor_{key}")) for key in keys)]
    head += [escaped(texts.say(key)) for key in ("interval", "monitor_first", "monitor_last")]
    rows = [_row(one, at, stretch, texts) for at, stretch in enumerate(one.versions)]
    return (
        f"<section><h2>{escaped(heading)}</h2>{svg(one)}"
        f"{f'<ol>{said}</ol>' if said else ''}{table(head, rows)}</section>"
    )


def _row(one: Series, at: int, stretch: Stretch, texts: Texts) -> list[str]:
    places = digits(one)
    name = cell_name(added(stretch.version, texts))
    interval = f"{stretch.low:.{places}f} … {stretch.high:.{places}f}"
    return [
        f'<span class="dot" style="background:{colour(at)}"></span>{name}',
        str(stretch.points),
        str(stretch.pictures),
        f"{stretch.mean:.{places}f}",
        UNKNOWN if math.isnan(stretch.low) else interval,
        date(stretch.first),
        date(stretch.last),
    ]
