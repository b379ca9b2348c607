"""`looks.jsonl`: when somebody saw a pilot's results, so that votes given afterwards are told."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

from ..trial import Trial, records
from ..trial.folder import LOCK

NAME = "looks.jsonl"


@dataclass(frozen=True)
class Look:
    """A look at results. votes: how many there were. measure: what answered. time: as votes'."""

    votes: int
    measure: str
    time: float


def looked(trial: Trial, votes: int, measure: str) -> None:
    """Keeps a look, unless the last one saw the same. A trial that cannot be written is read all
    the same."""
    *_, last = None, *looks(trial)
    if last and (last.votes, last.measure) == (votes, measure):
        return
    with suppress(OSError):
        entry = asdict(Look(votes, measure, time.time()))
        records.append(trial.folder / NAME, trial.folder / LOCK, [entry])


def looks(trial: Trial) -> Iterator[Look]:
    """The looks, in order; lines that are damaged are left out."""
    for entry in records.read(trial.folder / NAME):
        votes, measure, when = (entry.get(key) for key in ("votes", "measure", "time"))
        if type(votes) is int and isinstance(measure, str) and type(when) in (int, float):
            if math.isfinite(when):
                yield Look(votes, measure[:100], float(when))
