"""The settings that are tried, what is measured of each, and the table of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation.statistics.rates import Paired, paired, rate
from ...softrepa.adapter import Adapter
from .. import world
from ..evaluation.evaluate import verdicts
from ..evaluation.table import gain
from ..world.judge import ATTRIBUTES, Verdict
from . import page
from .short.forward import Short, apart, used
from .short.sd3 import Model
from .short.training import Pairs, settings, train

FINDINGS = Path(__file__).with_name("findings")
RESULTS = FINDINGS / "settings.jsonl"
PROMPTS, PROMPTS_SEED = world.SWEPT, world.SWEPT_SEED
PAIRS, PAIRS_SEED = 600, 7
COMMON: Mapping[str, Any] = {
    "batch_size": 8,
    "tokens": 8,
    "layers": "0,1,2",
    "time_offsets": False,
    "learning_rate": 1e-3,
}
BEYOND: Mapping[str, Any] = {"hard_share": 0.5, "normalise": True}


@dataclass(frozen=True)
class Trial:
    """One training: the trainer's flags, the steps it is tried at, and how strongly."""

    flags: Mapping[str, Any]
    at: tuple[int, ...] = (200, 400)
    strengths: tuple[float, ...] = (1.0,)

    def findings(self) -> list[dict[str, Any]]:
        """What is to be measured; strengths other than 1 at the last step only."""
        return [
            {"flags": dict(self.flags), "steps": step, "strength": strength}
            for step in self.at
            for strength in self.strengths
            if strength == 1.0 or step == max(self.at)
        ]


def trials() -> Iterator[Trial]:
    """Each objective as published and with what goes beyond, then one thing changed at a time."""
    fast = {"learning_rate": 3e-3}
    for objective in ("softrepa", "agsm"):
        told = {**COMMON, "objective": objective}
        yield Trial({**told, **BEYOND}, strengths=(0.5, 1.0, 1.5))
        yield Trial(told)
        yield Trial({**told, **BEYOND, **fast}, at=(100, 200, 300), strengths=(0.5, 1.0, 1.5))
        yield Trial({**told, "normalise": True})
        yield Trial({**told, **BEYOND, "layers": "0"})
        yield Trial({**told, **BEYOND, "tokens": 2})
        yield Trial({**told, **BEYOND, "layers": "0,1"})
        yield Trial({**told, **BEYOND, "time_offsets": True})


@dataclass(frozen=True, eq=False)
class Bench:
    """What every trial shares: model, training pairs, prompts, and what the base makes of them."""

    model: Short
    pairs: Pairs
    scenes: list[world.Scene]
    before: list[Verdict]

    @classmethod
    def prepared(cls, scenes: list[world.Scene], model: Short | None = None) -> Bench:
        model = model or Model.load()
        pairs = Pairs.drawn(model, training_scenes(), PAIRS_SEED)
        return cls(model, pairs, scenes, painted(model, scenes))

    def do(self, trial: Trial, missing: list[dict[str, Any]], file: Path) -> None:
        def look(step: int, adapter: Adapter) -> None:
            self.look(adapter, [entry for entry in missing if entry["steps"] == step], file)

        at = {entry["steps"]: partial(look, entry["steps"]) for entry in missing}
        told = settings(self.model.FAMILY, **trial.flags, steps=max(at))
        train(self.model, self.pairs, told, at)

    def look(self, adapter: Adapter, entries: Iterable[dict[str, Any]], file: Path) -> None:
        """Paints with the adapter in each of these ways, and appends what is found."""
        for entry in entries:
            after = painted(self.model, self.scenes, adapter, **use(entry))
            _append(file, {**entry, **_found(self.before, after)})


def run(
    file: Path = RESULTS,
    chosen: Iterable[Trial] | None = None,
    scenes: list[world.Scene] | None = None,
    load: Callable[[], Short] = Model.load,
    minutes: float | None = None,
) -> float | None:
    """Does what the file does not hold yet, one JSON line a finding; on the sweep's own prompts
    and with the SD3 base unless others are given.

    Begins no trial after so many minutes; gives those left, None where there is no limit.
    """
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    bench = None
    for trial in chosen or trials():
        done = {key(entry) for entry in read(file)}
        missing = [entry for entry in trial.findings() if key(entry) not in done]
        if missing and time.monotonic() < end:
            if bench is None:
                scenes = scenes or world.held_out_scenes(PROMPTS, PROMPTS_SEED)
                bench = Bench.prepared(scenes, load())
            bench.do(trial, missing, file)
    return None if minutes is None else (end - time.monotonic()) / 60


def training_scenes() -> list[world.Scene]:
    rng = np.random.default_rng(PAIRS_SEED)
    return [world.sample_scene(rng) for _ in range(PAIRS)]


def read(file: Path) -> list[dict[str, Any]]:
    """All findings so far."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]


def table(file: Path) -> str:
    """The findings as a Markdown table, in the order of `trials`."""
    lines = [
        "| objective | steps | rate | tokens | blocks | offsets | hard | normalised | strength "
        "| all right | gain | p | number | colour |",
        "|" + "---|" * 14,
    ]
    order = [key(entry) for trial in trials() for entry in trial.findings()]
    found = {key(entry): entry for entry in read(file)}
    for entry in sorted(found.values(), key=lambda entry: _place(order, entry)):
        flags = entry["flags"]
        change = change_of(entry)
        cells = [
            flags["objective"],
            entry["steps"],
            f"{flags['learning_rate']:g}",
            flags["tokens"],
            flags["layers"],
            "yes" if flags["time_offsets"] else "no",
            f"{flags.get('hard_share', 0.0):g}",
            "yes" if flags.get("normalise") else "no",
            f"{entry['strength']:g}",
            f"{rate(_answers(entry['after'])).share:.1%}",
            gain(change),
            f"{change.p:.2g}",
            f"{entry['rates']['number']:.1%}",
            f"{entry['rates']['colour']:.1%}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def show() -> str:
    """Puts the table into demo/RESULTS.md."""
    return page.put(table(RESULTS))


def _place(order: list[str], entry: Mapping[str, Any]) -> int:
    """Where a finding stands in the table; what no trial asks for any more comes last."""
    name = key(entry)
    return order.index(name) if name in order else len(order)


def painted(
    model: Short,
    scenes: list[world.Scene],
    adapter: Adapter | None = None,
    strength: float = 1.0,
    strength_as: str = "blend",
    negative_strength: float | None = None,
) -> list[Verdict]:
    """negative_strength: on the empty prompt, where it is not the same there."""
    prompts = [world.caption(scene) for scene in scenes]
    sampler = None
    if negative_strength is not None:
        sampler = partial(apart, used(adapter, negative_strength, strength_as))
    pictures = model.paint(
        prompts,
        range(len(scenes)),
        adapter,
        strength=strength,
        strength_as=strength_as,
        sampler=sampler,
    )
    return verdicts(list(pictures), scenes)


def _found(before: list[Verdict], after: list[Verdict]) -> dict[str, Any]:
    """Each prompt's verdict, 1 or 0, and the rate of every attribute."""
    rates = {name: float(np.mean([v.as_dict()[name] for v in after])) for name in ATTRIBUTES}
    return {"before": _bits(before), "after": _bits(after), "rates": rates}


def _bits(results: list[Verdict]) -> str:
    return "".join("1" if verdict.all else "0" for verdict in results)


def _answers(bits: str) -> list[bool]:
    return [bit == "1" for bit in bits]


def _append(file: Path, entry: dict[str, Any]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")
    change = change_of(entry)
    print(entry["flags"], entry["steps"], entry["strength"], gain(change), flush=True)


def change_of(entry: Mapping[str, Any]) -> Paired:
    """What the adapter changed of a finding's verdicts."""
    return paired(_answers(entry["before"]), _answers(entry["after"]))


def use(entry: Mapping[str, Any]) -> dict[str, Any]:
    """How a finding's adapter is used: the Apply node's inputs."""
    names = ("strength", "strength_as", "negative_strength")
    return {name: entry[name] for name in names if name in entry}


def key(entry: Mapping[str, Any]) -> str:
    """What a finding is of, apart from what was found."""
    return json.dumps([entry["flags"], entry["steps"], *use(entry).values()], sort_keys=True)
