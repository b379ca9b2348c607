"""What was measured, arm by arm, and the table of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....evaluation.statistics.means import difference
from ....evaluation.statistics.rates import paired, rate
from ...sweep.page import numbers, points
from ...table import gain
from .arms import UNEDITED, USES, WAYS, Arm, arms, shown
from .bench import Bench

RESULTS = Path(__file__).with_name("results.jsonl")
SECTION = "editing"


def read(file: Path = RESULTS) -> dict[Arm, Mapping[str, Any]]:
    """What was found so far, by arm, in a table's order."""
    lines = file.read_text().splitlines() if file.is_file() else []
    found = {Arm(**entry["arm"]): entry for entry in map(json.loads, lines)}
    order = shown()
    place = {arm: order.index(arm) if arm in order else len(order) for arm in found}
    return dict(sorted(found.items(), key=lambda item: place[item[0]]))


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
    """A row an arm: shares right, PSNR where nothing was to change, and the differences that the
    adapter makes with 95 % intervals over the edits."""
    found, wanted = read(file), list(arms())
    measured = f"{len(found)} of {len(wanted)} arms are measured."
    return "\n".join([
        "| method | steps, n_max | guidance | adapter | predictions | target right | gain | colour "
        "| shape | number | PSNR kept | change |",
        "|" + "---|" * 12,
        *(f"| {' | '.join(_cells(arm, entry, found))} |" for arm, entry in found.items()),
        "", *_over_all(found), measured,
    ])  # fmt: skip


def _over_all(found: Mapping[Arm, Mapping[str, Any]]) -> Iterator[str]:
    """What an adapter changes over all ways, once all of them have it: each edit's mean."""
    for use in USES[1:]:
        both = [(Arm(**way, **use), Arm(**way)) for way in WAYS]
        if all(arm in found for pair in both for arm in pair):
            right, psnr = (
                np.mean([each(found[one]) - each(found[plain]) for one, plain in both], axis=0)
                for each in (_right, _kept)
            )
            kept = difference(psnr)
            yield (
                f"{use['adapter']} {use.get('strength', 1.0):g}, over all {len(WAYS)} ways, each "
                f"edit's mean: {points(right)}, PSNR {kept.mean:+.2f} dB "
                f"({kept.low:+.2f} to {kept.high:+.2f})."
            )
            yield ""


def _right(entry: Mapping[str, Any]) -> NDArray[np.float64]:
    return numbers(entry["right"]["all"])


def _kept(entry: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.asarray(entry["psnr"])


def _cells(
    arm: Arm, entry: Mapping[str, Any], found: Mapping[Arm, Mapping[str, Any]]
) -> Iterator[str]:
    edited = arm != UNEDITED
    yield arm.method if edited else "none (the VAE alone)"
    yield f"{arm.steps}, {arm.n_max}" if edited else ""
    yield _guidance(arm) if edited else ""
    yield f"{arm.adapter} {arm.strength:g}" if arm.adapter else ""
    yield str(arm.predictions) if edited else ""
    right, plain = entry["right"], found.get(replace(arm, adapter="", strength=1.0))
    beside = plain if arm.adapter else None
    yield str(rate(_answers(right["all"])))
    yield gain(paired(_answers(beside["right"]["all"]), _answers(right["all"]))) if beside else ""
    for name in ("colour", "shape", "number"):
        yield f"{rate(_answers(right[name])).share:.1%}"
    yield f"{np.mean(entry['psnr']):.2f} dB"
    yield _change(beside["psnr"], entry["psnr"]) if beside else ""


def _guidance(arm: Arm) -> str:
    return (
        f"{arm.target_cfg:g}"
        if arm.method == "FlowAlign"
        else (f"{arm.source_cfg:g}, {arm.target_cfg:g}")
    )


def _change(before: list[float], after: list[float]) -> str:
    one = difference(np.subtract(after, before))
    return f"{one.mean:+.2f} ({one.low:+.2f} to {one.high:+.2f})"


def _answers(bits: str) -> list[bool]:
    return [bit == "1" for bit in bits]
