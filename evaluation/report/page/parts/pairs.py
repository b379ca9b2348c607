"""Two pictures side by side, with what was said of them."""

from __future__ import annotations

from ....trial import Trial
from ...analysis import VOTES, Comparison, pictures_of
from ...texts import Texts
from ...wording import UNKNOWN, Scale
from ..markup import escaped
from ..thumbnails import data_url


def picture_pair(comparison: Comparison, pair: tuple[str, int], trial: Trial, texts: Texts) -> str:
    """A figure: the base left, the arm right."""
    prompt = trial.manifest.prompt(pair[0])
    sides = ""
    for cell in pictures_of(comparison, pair):
        url = data_url(trial, cell)
        shown = f'<img src="{url}" alt="">' if url else f"<span>{UNKNOWN}</span>"
        sides += f"<div>{shown}<small>{escaped(cell.arm)}</small></div>"
    values = [
        f"{r.scorer} {Scale(r, texts).difference(r.by_pair[pair])}"
        for r in comparison.scorers
        if pair in r.by_pair
    ]
    if comparison.votes and pair in comparison.votes.by_pair:
        values.append(f"{texts.measure(VOTES)} {comparison.votes.by_pair[pair]:+.1f}")
    told = " · ".join([texts.say("seed", seed=pair[1]), *values])
    words = prompt.text if len(prompt.text) <= 160 else f"{prompt.text[:157]}…"
    return (
        f"<figure>{sides}<figcaption>{escaped(words)}<br><small>{escaped(told)}</small></figcaption>"
        "</figure>"
    )
