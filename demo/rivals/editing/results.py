"""What was measured, arm by arm, and the table of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....evaluation.statistics.means import difference
from ...sweep.page import numbers, points
from ..page.answers import share
from .arms import UNEDITED, USES, WAYS, Arm, arms, shown, trainings
from .bench import Bench

Group = Sequence[Mapping[str, Any]]
"""What was found with each training of an adapter."""

RESULTS = Path(__file__).with_name("results.jsonl")
SECTION = "editing"


def read(file: Path = RESULTS) -> dict[Arm, Mapping[str, Any]]:
    """What was found so far, by arm."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return {Arm(**entry["arm"]): entry for entry in map(json.loads, lines)}


def run(file: Path = RESULTS, minutes: float | None = None, bench: Bench | None = None) -> None:
    """Measures the arms that the file does not hold yet; begins none after so many minutes."""
    began, known = time.monotonic(), read(file)
    for arm in arms():
        if arm in known:
            continue
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            return
        bench = bench or Bench.prepared()
        started = time.monotonic()
        found = bench.measure(bench.edited(arm))
        seconds = round((time.monotonic() - started) / len(bench.edits), 4)
        with file.open("a") as lines:
            lines.write(json.dumps({"arm": asdict(arm), "seconds": seconds, **found}) + "\n")
        print(arm, found["right"]["all"].count("1"), np.mean(found["psnr"]), flush=True)


def table(file: Path = RESULTS) -> str:
    """A row a way with an adapter, over its trainings: shares right, PSNR where nothing was to
    change, and the differences that the adapter makes with 95 % intervals over the edits."""
    found = read(file)
    rows = {arm: [found[one] for one in trainings(arm) if one in found] for arm in shown()}
    rows = {arm: group for arm, group in rows.items() if group}
    measured = f"{len(found)} of {len(arms())} arms are measured."
    return "\n".join([
        "| method | steps, n_max | guidance | adapter | trainings | predictions | target right "
        "| gain | colour | shape | number | PSNR kept | change |",
        "|" + "---|" * 13,
        *(f"| {' | '.join(_cells(arm, group, rows))} |" for arm, group in rows.items()),
        "", *_over_all(rows), measured,
    ])  # fmt: skip


def _over_all(rows: Mapping[Arm, Group]) -> Iterator[str]:
    """What an adapter changes over all ways, once all of them have it: each edit's mean."""
    for use in USES[1:]:
        both = [(rows.get(Arm(**way, **use)), rows.get(Arm(**way))) for way in WAYS]
        pairs = [(one, plain) for one, plain in both if one and plain]
        if len(pairs) == len(WAYS):
            right, kept = (
                np.mean([of(one) - of(plain) for one, plain in pairs], axis=0)
                for of in (_right, _kept)
            )
            fewest = min(len(one) for one, _ in pairs)
            yield (
                f"{use['adapter']} {use.get('strength', 1.0):g}, over all {len(WAYS)} ways "
                f"(trainings: {fewest}), each edit's mean: {points(right)}, "
                f"PSNR {_change(kept)} dB."
            )
            yield ""


def _right(group: Group, name: str = "all") -> NDArray[np.float64]:
    """By edit, over the trainings."""
    return np.mean([numbers(entry["right"][name]) for entry in group], axis=0)


def _kept(group: Group) -> NDArray[np.float64]:
    """By edit, over the trainings, in dB."""
    return np.mean([entry["psnr"] for entry in group], axis=0)


def _cells(arm: Arm, group: Group, rows: Mapping[Arm, Group]) -> Iterator[str]:
    edited = arm != UNEDITED
    yield arm.method if edited else "none (the VAE alone)"
    yield f"{arm.steps}, {arm.n_max}" if edited else ""
    yield _guidance(arm) if edited else ""
    yield f"{arm.adapter} {arm.strength:g}" if arm.adapter else ""
    yield str(len(group)) if arm.adapter else ""
    yield str(arm.predictions) if edited else ""
    plain = rows.get(replace(arm, adapter="", strength=1.0)) if arm.adapter else None
    yield share([entry["right"]["all"] for entry in group])
    yield points(_right(group) - _right(plain)) if plain else ""
    for name in ("colour", "shape", "number"):
        yield f"{_right(group, name).mean():.1%}"
    yield f"{_kept(group).mean():.2f} dB"
    yield _change(_kept(group) - _kept(plain)) if plain else ""


def _guidance(arm: Arm) -> str:
    return (
        f"{arm.target_cfg:g}"
        if arm.method == "FlowAlign"
        else (f"{arm.source_cfg:g}, {arm.target_cfg:g}")
    )


def _change(values: NDArray[np.float64]) -> str:
    one = difference(values)
    return f"{one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
