"""How often the host waits for the card in one step: an adapter adds nothing to sampling, and the
trainer looks at its card once a step. PyTorch tells of every such wait."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import comfy.model_management
import torch

from ..training import training_step
from . import checks, families, sampling


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """small: nothing waits on a CPU, so that only the way there is gone."""
    for name, model in checks.models():
        yield f"{name}: waits of a sampling step, without and with an adapter", _sampling(model)
    for name, family in families.FULL.items():
        made = families.denoiser(name, True)
        for objective in ("softrepa", "agsm"):
            for checkpointing in (False, True):
                run = families.step(training_step, made, family, objective, 3, True, checkpointing)
                run()
                title = f"{name}: waits of a training step, {objective}"
                found = waits(run)
                where = "".join(f", {place} {count}" for place, count in found.items())
                yield title + ", --checkpointing" * checkpointing, f"{found.total()}{where}"


def _sampling(model: checks.Small) -> str:
    """Of the bare model, and at each kind of strength."""
    found = []
    for patcher in (model.plain, *(model.patched(**settings) for _, settings in sampling.USES)):
        comfy.model_management.load_models_gpu([patcher])
        run = functools.partial(model.predict, patcher)
        run()  # a first call may wait for what is loaded and chosen then
        run()
        found.append(waits(run).total())
    said = ", ".join(map(str, found))
    return said if max(found) == found[0] else f"FAILED: {said}"


def waits(run: Callable[[], object]) -> Counter[str]:
    """How often the host waited in it, by file and line."""
    places: Counter[str] = Counter()
    if not torch.cuda.is_available():
        run()
        return places
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for each in told:
        if "synchroniz" in str(each.message).lower():
            places[f"{Path(each.filename).name}:{each.lineno}"] += 1
    return places
