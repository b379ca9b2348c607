"""What the voters said of two arms, and how the scorers go with them."""

from __future__ import annotations

from ....statistics.rates import Rate
from ...analysis import Comparison
from ...analysis.votes import VoteResult
from ...texts import Texts
from ...wording import UNKNOWN, p_value, percent
from ..figures import Interval, svg
from ..markup import cell_name, escaped, table


def votes_part(comparison: Comparison, votes: VoteResult, texts: Texts) -> str:
    """Counts, categories and agreement."""
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
    parts = [f"<h3>{escaped(texts.say('votes'))}</h3>"]
    parts += [f"<p>{escaped(sentence)}</p>" for sentence in said]
    if votes.categories:
        parts.append(_vote_table(votes, texts))
    if comparison.follows:
        head = [texts.say(key) for key in ("measure", "same_arm", "tau")]
        rows = [
            [cell_name(f.scorer), _rate(f.same),
             UNKNOWN if f.tau != f.tau else f"{f.tau:.2f}"]
            for f in comparison.follows
        ]  # fmt: skip
        parts.append(
            f"<h3>{escaped(texts.say('follows'))}</h3>{table([*map(escaped, head)], rows)}"
        )
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
            [cell_name(texts.category(name)), str(counted.won), str(counted.lost),
             percent(rate.share) if rate else UNKNOWN, interval, drawn,
             escaped(p_value(counted.adjusted))]
        )  # fmt: skip
    keys = ("category", "prompts_won", "prompts_lost", "share_won", "interval")
    head = [*(escaped(texts.say(key)) for key in keys), "", escaped(texts.say("adjusted"))]
    return table(head, rows)
