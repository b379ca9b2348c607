"""Paints and judges what is missing, a JSON line a finding."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...host.pack import ROOT
from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...training.objectives import OBJECTIVES
from .. import world
from ..evaluate import sampling, verdicts
from ..judge import ATTRIBUTES
from ..sweep import grid, training
from ..sweep.model import Model
from ..sweep.short import Short
from ..unet_base import join
from ..unet_base.short import Unet
from . import length
from .attention import GRADIENTS, LED
from .guidance import SAMPLERS, at
from .methods import LESSONS, METHODS, ORDINARY, PREFERENCE, Method, methods
from .preference import results as preference

ROWS = Path(__file__).with_name("rows.jsonl")
BASES: Mapping[str, type[Short]] = {"sd3": Model, "unet": Unet}


def bases() -> tuple[str, ...]:
    """Those whose weights are here."""
    return tuple(name for name in BASES if name != "unet" or join.UNET.is_file())


ADAPTERS = ROOT / "build" / "rivals"
"""Where trained adapters are kept between runs."""
KEPT = Path(__file__).resolve().parents[1] / "kept"


@dataclass(frozen=True)
class Scale:
    """How much of everything. choosing, judged, longer: prompts; steps: of a picture; training: of
    a lesson, None for its own; compared: prompts whose pictures are compared for preference."""

    choosing: int
    judged: int
    steps: int
    training: int | None = None
    compared: int = preference.pairs.PROMPTS
    longer: int = 250

    def scenes(self, part: str) -> list[world.Scene]:
        """Of the prompts for choosing scales, of those that chose nothing, or of as many of these
        as are asked for in longer words."""
        if part == "choosing":
            return world.held_out_scenes(world.SWEPT, world.SWEPT_SEED)[: self.choosing]
        return world.unswept_scenes(self.longer if part in length.KINDS else self.judged)


WHOLE = Scale(choosing=125, judged=500, steps=20)
SHORT = Scale(choosing=2, judged=4, steps=3, training=2, compared=16, longer=2)


class Found:
    """The rows of a file, by what they are of."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows = grid.read(file)

    def row(self, **of: Any) -> dict[str, Any] | None:
        """The first row that has all these."""
        return next((row for row in self.rows if fits(row, of)), None)

    def has(self, prompts: int, **of: Any) -> bool:
        """Whether a row of these, of so many prompts or more, is there."""
        return any(fits(row, of) and len(row["verdicts"]["all"]) >= prompts for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        with self._file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        self.rows.append(row)
        share = row["verdicts"]["all"].count("1") / len(row["verdicts"]["all"])
        told = (row["base"], row["part"], row["method"], row["scale"], row["seed"])
        print(*told, f"{share:.1%}", f"{row['seconds']:.2f} s", flush=True)

    def best(self, base: str, method: Method) -> float | None:
        """The scale of most pictures right among those for choosing; None where one is missing.

        The smallest of equals.
        """
        if method.like is not None:
            return self.best(base, named(method.like))
        if len(method.scales) == 1:
            return method.scales[0]
        of: dict[str, Any] = {"base": base, "method": method.name, "part": "choosing"}
        if method.beneath is not None:
            of["beneath"] = self.best(base, named(method.beneath))
        tried = [self.row(**of, scale=scale) for scale in method.scales]
        if None in tried:
            return None
        return max(tried, key=lambda row: row["verdicts"]["all"].count("1"))["scale"]


def named(name: str) -> Method:
    """The method of this name."""
    return next(method for method in METHODS if method.name == name)


def fits(row: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
    """Whether a row has all these."""
    return all(row.get(key) == wanted for key, wanted in of.items())


class Bench:
    """A base, loaded when first needed, and its adapters, trained when first needed."""

    def __init__(self, base: str, scale: Scale, adapters: Path) -> None:
        self.base, self._scale, self._adapters = base, scale, adapters

    @cached_property
    def model(self) -> Short:
        return BASES[self.base].load()

    @cached_property
    def pairs(self) -> training.Pairs:
        return training.Pairs.drawn(self.model, grid.training_scenes(), grid.PAIRS_SEED)

    @cached_property
    def preference(self) -> preference.Bench:
        """Its pairs and adapters lie where its own command has them, unless those are shortened."""
        whole = self._scale.compared == WHOLE.compared
        folder = preference.ADAPTERS if whole else self._adapters / "preference"
        folder = folder if self.base == "sd3" else folder / self.base
        return preference.Bench(self._scale.judged, folder, self._scale.compared, self.model)

    def preferred(self, lesson: str, seed: int) -> preference.Use:
        """A lesson of PREFERENCE at a training seed."""
        use = replace(PREFERENCE[lesson], seed=seed)
        steps = self._scale.training
        return use if steps is None else replace(use, steps=steps)

    def beneath(
        self, method: Method, seed: int
    ) -> tuple[Adapter | None, AbstractContextManager[None], dict[str, Any] | None]:
        """What preference gave a method: tokens, or a LoRA as a context that puts it on the model;
        and what its training cost."""
        if method.preferred is None:
            return None, nullcontext(), None
        use = self.preferred(method.preferred, seed)
        bench = self.preference
        return bench.adapter(use), bench.on(use), bench.cost(use)

    def adapter(self, lesson: str, seed: int) -> tuple[Adapter, dict[str, Any]]:
        """The adapter of a lesson, and what its training cost."""
        kept = LESSONS[lesson].kept.get(self.base)
        if kept is not None and seed == 0:
            return files.read(KEPT / kept), {"kept": kept}
        flags = {**LESSONS[lesson].of(self.base), "seed": seed}
        if self._scale.training is not None:
            flags["steps"] = self._scale.training
        name = f"{self.base}-{lesson}-{flags['steps']}-{seed}"
        file, record = self._adapters / f"{name}.safetensors", self._adapters / f"{name}.json"
        if not record.is_file():
            self._adapters.mkdir(parents=True, exist_ok=True)
            settings = training.settings(self.model.FAMILY, **flags)
            start = time.process_time()
            adapter = training.train(self.model, self.pairs, settings)
            cost = {"steps": settings.steps, "seconds": time.process_time() - start}
            batches = training.batches_of(self.pairs, settings)
            first = [len(row) for step in range(20) for row in batches[step].candidates]
            surveys = 2 if OBJECTIVES[settings.objective].SURVEY == "average" else 1
            cost["predictions"] = surveys * round(sum(first) / 20 * settings.steps)
            file.unlink(missing_ok=True)
            files.write(file, adapter)
            record.write_text(json.dumps(cost))
        return files.read(file), json.loads(record.read_text())

    def find(
        self,
        method: Method,
        part: str,
        scale: float,
        seed: int | None,
        beneath: float | None = None,
    ) -> dict[str, Any]:
        """A row: each prompt's verdicts, evaluations and processor seconds a picture, cost.

        beneath: ordinary guidance, where the scale is another thing's.
        """
        scenes = self._scale.scenes(part)
        adapter, cost = None, None
        if method.lesson is not None:
            adapter, cost = self.adapter(method.lesson, seed or 0)
        tokens, on, further = self.beneath(method, seed or 0)
        passes: Counter[str] = Counter()
        if method.sampler in LED:
            evaluations = SAMPLERS[ORDINARY][1]
            sampler = partial(LED[method.sampler], scale=scale, passes=passes)
        else:
            sampler, evaluations = SAMPLERS[method.sampler]
        settings = at(sampling(steps=self._scale.steps), scale if beneath is None else beneath)
        prompts = [length.prompt(part, scene) for scene in scenes]
        with on:
            start = time.process_time()
            pictures = self.model.paint(
                prompts,
                range(len(scenes)),
                adapter,
                settings,
                method.strength,
                sampler=sampler,
                beneath=tokens,
            )
            seconds = (time.process_time() - start) / len(scenes)
        judged = [verdict.as_dict() for verdict in verdicts(list(pictures), scenes)]
        return {
            "base": self.base,
            "method": method.name,
            "part": part,
            "scale": scale,
            "seed": seed,
            "verdicts": {name: _bits([one[name] for one in judged]) for name in ATTRIBUTES},
            "beneath": beneath,
            "evaluations": evaluations * self._scale.steps,
            "gradients": passes[GRADIENTS] / len(scenes),
            "seconds": seconds,
            "training": cost,
            "preference": further,
        }


def run(
    file: Path,
    scale: Scale,
    bases: Sequence[str],
    only: str | None = None,
    seeds: int = 1,
    minutes: float | None = None,
) -> None:
    """Does what the file does not hold yet, seed by seed, as far as `minutes` reach."""
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    found = Found(file)
    adapters = ADAPTERS if file == ROWS else file.parent / f"{file.stem}.adapters"
    for base in bases:
        bench = Bench(base, scale, adapters)
        for part, method, scale_of, seed in _wanted(base, found, only, seeds):
            own, beneath = scale_of(), None
            if method.beneath is not None:
                beneath = found.best(base, named(method.beneath))
                if beneath is None:
                    continue
            of = {"base": base, "method": method.name, "part": part, "seed": seed, "scale": own}
            of["beneath"] = beneath
            if own is None or found.has(len(scale.scenes(part)), **of):
                continue
            if time.monotonic() > end:
                return
            found.add(bench.find(method, part, own, seed, beneath))


def _wanted(
    base: str, found: Found, only: str | None, seeds: int
) -> Iterator[tuple[str, Method, Callable[[], float | None], int | None]]:
    """Part, method, what tells its scale once that is chosen, and training seed, in order."""
    chosen = [method for method in methods(only) if base in method.bases]
    for seed in range(seeds):
        for method in chosen:
            if not method.trained and seed > 0:
                continue
            for value in method.scales if len(method.scales) > 1 else ():
                yield "choosing", method, partial(float, value), None
            own = seed if method.trained else None
            yield "judged", method, partial(found.best, base, method), own
        for kind in length.KINDS if base in length.BASES else ():
            for method in chosen:
                if method.name in length.METHODS and (method.trained or seed == 0):
                    own = seed if method.trained else None
                    yield kind, method, partial(found.best, base, method), own


def _bits(answers: Sequence[bool]) -> str:
    return "".join("1" if answer else "0" for answer in answers)
