"""How often the host waits for the card in one step: an adapter adds nothing to sampling, and the
trainer looks at its card once a step. PyTorch tells of every such wait."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator

import comfy.model_management
import torch

from .. import training_step
from . import checks, families


def rows(small: bool) -> Iterator[tuple[str, str]]:
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
                yield title + ", --checkpointing" * checkpointing, str(waits(run))


def _sampling(model: checks.Small) -> str:
    """Of the bare model, and at each kind of strength."""
    found = []
    for patcher in (model.plain, *(model.patched(**one) for one in checks.STRENGTHS)):
        comfy.model_management.load_models_gpu([patcher])
        run = functools.partial(model.predict, patcher)
        run()
        found.append(waits(run))
    said = ", ".join(map(str, found))
    return said if max(found) == found[0] else f"FAILED: {said}"


def waits(run: Callable[[], object]) -> int:
    """How often the host waited in it."""
    if not torch.cuda.is_available():
        run()
        return 0
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message).lower() for each in told)
