"""A base and its adapters at work: how much of everything, and what is found of one method."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...softrepa import files
from ...softrepa.adapter import Adapter
from ...training.objectives import OBJECTIVES
from .. import world
from ..evaluation.evaluate import sampling, verdicts
from ..models.unet_base.short import Unet
from ..sweep import grid
from ..sweep.short import training
from ..sweep.short.forward import Short
from ..sweep.short.sd3 import Model
from ..world.judge import ATTRIBUTES
from .longer import length, long_base
from .methods import LESSONS, ORDINARY, PREFERENCE, Method
from .preference import results as preference
from .preference.uses import Use
from .samplers.attention import EVALUATIONS, GRADIENTS, LED
from .samplers.guidance import SAMPLERS, at

BASES: Mapping[str, type[Short]] = {"sd3": Model, "unet": Unet, long_base.NAME: Model}
KEPT = Path(__file__).resolve().parents[1] / "models" / "kept"


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


class Bench:
    """A base, loaded when first needed, and its adapters, trained when first needed."""

    def __init__(self, base: str, scale: Scale, adapters: Path) -> None:
        self.base, self._scale, self._adapters = base, scale, adapters

    @cached_property
    def model(self) -> Short:
        if self.base != long_base.NAME:
            return BASES[self.base].load()
        file, steps = self._adapters / f"{self.base}.safetensors", self._scale.training
        shortened = {} if steps is None else {"steps": steps, "pictures": 128}
        return long_base.load(file, **shortened)

    @cached_property
    def pairs(self) -> training.Pairs:
        return training.Pairs.drawn(self.model, grid.training_scenes(), grid.PAIRS_SEED)

    @cached_property
    def mixed(self) -> length.Mixed:
        return length.Mixed.of(self.model, grid.training_scenes(), grid.PAIRS_SEED)

    @cached_property
    def preference(self) -> preference.Bench:
        """Its pairs and adapters lie where its own command has them, unless those are shortened."""
        whole = self._scale.compared == WHOLE.compared
        folder = preference.ADAPTERS if whole else self._adapters / "preference"
        folder = folder if self.base == "sd3" else folder / self.base
        return preference.Bench(self._scale.judged, folder, self._scale.compared, self.model)

    def preferred(self, lesson: str, seed: int) -> Use:
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
            pairs = self.mixed if LESSONS[lesson].mixed else self.pairs
            start = time.process_time()
            adapter = training.train(self.model, pairs, settings)
            cost = {"steps": settings.steps, "seconds": time.process_time() - start}
            batches = training.batches_of(pairs, settings)
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
            evaluations = EVALUATIONS.get(method.sampler, SAMPLERS[ORDINARY][1])
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


def _bits(answers: Sequence[bool]) -> str:
    return "".join("1" if answer else "0" for answer in answers)
