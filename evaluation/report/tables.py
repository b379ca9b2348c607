"""The numbers of an analysis as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

from ..statistics.rates import Rate
from .analysis import VOTES, Analysis, Comparison
from .analysis.pilot import PilotAnswer
from .analysis.scores import Row
from .analysis.votes import VoteResult
from .texts import Texts
from .wording import answer, warning

FORMAT = 1
COLUMNS = ("base", "arm", "measure", "category", "prompts", "base_mean", "arm_mean", "difference",
           "low", "high", "p", "p_holm")  # fmt: skip


def as_json(analysis: Analysis, manifest_sha256: str, pilot: PilotAnswer | None = None) -> bytes:
    """Every number, with names; what is not known is null."""
    texts = Texts("en")
    manifest = json.loads(analysis.manifest.encode())
    content = {
        "format": FORMAT,
        "trial": {key: manifest[key] for key in manifest if key not in ("format", "prompts")},
        "manifest_sha256": manifest_sha256,
        "pilot": dict(pilot.values) if pilot else None,
        "pictures": analysis.pictures,
        "painted": analysis.painted,
        "scorers": {name: list(hashes) for name, hashes in analysis.weights.items()},
        "warnings": [warning(warned, texts) for warned in analysis.warnings],
        "costs": [vars(cost) for cost in analysis.costs],
        "comparisons": [_comparison(each, texts) for each in analysis.comparisons],
    }
    return (json.dumps(_known(content), ensure_ascii=False, indent=1) + "\n").encode()


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_known(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _comparison(comparison: Comparison, texts: Texts) -> dict[str, Any]:
    return {
        "base": comparison.base,
        "arm": comparison.arm,
        "primary": comparison.primary,
        "called": comparison.called,
        "answer": answer(comparison, texts),
        "scorers": {
            result.scorer: {
                "share": result.share,
                "overall": _row(result.overall),
                "categories": {name: _row(row) for name, row in result.categories.items()},
            }
            for result in comparison.scorers
        },
        "votes": _votes(comparison.votes) if comparison.votes else None,
        "follows": [
            {"scorer": f.scorer, "same": _rate(f.same), "tau": f.tau} for f in comparison.follows
        ],
        "wins": [{"prompt": prompt, "seed": seed} for prompt, seed in comparison.wins],
        "losses": [{"prompt": prompt, "seed": seed} for prompt, seed in comparison.losses],
        "warnings": [warning(warned, texts) for warned in comparison.warnings],
    }


def _row(row: Row) -> dict[str, Any]:
    found = {"base": row.base, "arm": row.arm, **vars(row.difference), "p_holm": row.adjusted}
    found["difference"] = found.pop("mean")
    return found


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    return {"share": rate.share, **vars(rate)} if rate else None


def _votes(votes: VoteResult) -> dict[str, Any]:
    decision = votes.decision
    low, high = decision.anytime.interval
    return {
        "won": decision.won,
        "lost": decision.lost,
        "ties": votes.ties,
        "both_bad": votes.both_bad,
        "share": decision.share,
        "prompts": decision.prompts,
        "voters": votes.voters,
        "anytime": {
            "won": decision.anytime.won,
            "prompts": decision.anytime.count,
            "low": low,
            "high": high,
            "first": decision.anytime.first,
        },
        "planned": decision.planned,
        "p": decision.p,
        "agreement": votes.agreement,
        "consistency": _rate(votes.consistency),
        "categories": {
            name: {"won": c.won, "lost": c.lost, "even": c.even, "share": _rate(c.share),
                   "p_holm": c.adjusted}
            for name, c in votes.categories.items()
        },
    }  # fmt: skip


def as_csv(analysis: Analysis) -> bytes:
    """One line a comparison, measure and category (empty for all prompts); UTF-8 with a mark."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for comparison in analysis.comparisons:
        for line in _lines(comparison):
            writer.writerow([cell(value) for value in line])
    return b"\xef\xbb\xbf" + file.getvalue().encode()


def _lines(comparison: Comparison) -> Iterator[list[Any]]:
    names = [comparison.base, comparison.arm]
    for result in comparison.scorers:
        for category, row in {"": result.overall, **result.categories}.items():
            d = row.difference
            yield [*names, result.scorer, category, d.prompts, row.base, row.arm, d.mean, d.low,
                   d.high, d.p, row.adjusted]  # fmt: skip
    votes = comparison.votes
    if votes is None:
        return
    decision = votes.decision
    share = decision.share
    low, high = decision.anytime.interval
    yield [*names, VOTES, "", decision.prompts, 1 - share, share, 2 * share - 1, 2 * low - 1,
           2 * high - 1, decision.p, None]  # fmt: skip
    for category, counted in votes.categories.items():
        rate = counted.share
        if rate:
            yield [*names, VOTES, category, rate.count, 1 - rate.share, rate.share,
                   2 * rate.share - 1, 2 * rate.low - 1, 2 * rate.high - 1, None,
                   counted.adjusted]  # fmt: skip


def cell(value: Any) -> Any:
    """A value as spreadsheets take it: no text that they would run as a formula."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    if isinstance(value, str) and value.lstrip()[:1] in tuple("=+-@\t\r"):
        return f"'{value}" if value.strip() else value
    return "" if value is None else value
