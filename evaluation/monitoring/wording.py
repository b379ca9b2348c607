"""Versions and shifts in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..report.texts import Texts
from .drawing import date
from .series import Marked, Series, Version

LANGUAGES = Path(__file__).parent / "languages"
SHORT = 10
"""Digits of a hash that are shown."""


def texts_of(language: str) -> Texts:
    """The report's sentences and ours. Raises EvaluationError for a language without."""
    return Texts(language, LANGUAGES)


def added(version: Version, texts: Texts) -> str:
    """What stands beside the base model, each with the start of its hash."""
    told = []
    for model in version.added:
        name = f"{model.name} {model.sha256[:SHORT]}".strip()
        if model.strength not in (None, 1.0):
            name += " " + texts.say("monitor_at", strength=f"{model.strength:g}")
        told.append(name)
    return " + ".join(told) or texts.say("monitor_bare")


def base_name(series: Series, texts: Texts) -> str:
    """The model of a series, with the start of its hash."""
    if not series.base.name:
        return texts.say("monitor_unknown")
    return f"{series.base.name} {series.base.sha256[:SHORT]}".strip()


def digits(series: Series) -> int:
    """How many decimals tell the values of a series apart."""
    spread = float(np.std([point.value for point in series.points]))
    return 3 if spread == 0 else min(6, max(0, 2 - int(np.floor(np.log10(spread)))))


def shift_sentences(series: Series, mark: Marked, texts: Texts) -> str:
    """What shifted when, and whether something else painted then."""
    places = digits(series)
    shift = mark.shift
    said = texts.say(
        "monitor_shifted", scorer=series.scorer, date=date(mark.time),
        before=f"{shift.before:.{places}f}", after=f"{shift.after:.{places}f}",
        seen=date(series.points[shift.seen].time),
    )  # fmt: skip
    before, after = (added(series.versions[at].version, texts) for at in (mark.before, mark.after))
    key = "monitor_unchanged" if mark.before == mark.after else "monitor_changed"
    painted = texts.say(key, before=before, after=after)
    return texts.say("monitor_both", shifted=said, painted=painted)
