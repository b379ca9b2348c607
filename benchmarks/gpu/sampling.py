"""Sampling steps of full-size models with an adapter, in turn with the bare model's: ratio, the
ratio of what the card alone takes, and memory. Random weights in bfloat16, both branches of
guidance in one call where the model has two.

Where a processor is too slow for its card, a step takes what Python and launches take; the card's
own time, its kernels' durations added up, is what it would take beside a faster one.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch

from ... import injection
from ...injection.architectures import architecture_of
from ...softrepa.adapter import Adapter
from ...tests import small_models
from ...tests.adapters import random_adapter
from ..memory import memory_by_count
from ..training import training_step
from . import families

PAIRS, PROFILED = 15, 5
USES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("strength 1", {}),
    ("strength 0.5, blend", {"strength": 0.5}),
    ("strength 0.5, attention", {"strength": 0.5, "strength_as": "attention"}),
)
NEWER = ("Flux.1", "Z-Image")
LAYERS = 5


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Each model and use."""
    device = comfy.model_management.get_torch_device()
    for name in families.chosen(families.FULL, models):
        family = families.FULL[name]
        model = families.denoiser(name, small).model
        yield from _of(name, model, network_inputs(family, model, small, device), small)
    for name, full in memory_by_count.MODELS.items():
        if name.partition(",")[0] in families.chosen(NEWER, models):
            model, inputs = _newer(replace(full, weights=2), small, device)
            yield from _of(name.partition(",")[0], model, inputs, small)


def _of(name: str, model: Any, inputs: dict[str, Any], small: bool) -> Iterator[tuple[str, str]]:
    device, cpu = comfy.model_management.get_torch_device(), torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model.to(device), device, cpu)
    for use, settings in USES:
        application = injection.make_application(model, adapter(model), **settings)
        patched = injection.apply(patcher, application)
        runs = [_step(which, inputs) for which in (patcher, patched)]
        for run in runs * 2:
            run()
        yield f"{name}, a sampling step, {use}", _in_turn(device, *runs, 1 if small else PAIRS)
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()


def _step(patcher: Any, inputs: dict[str, Any]) -> Callable[[], None]:
    comfy.model_management.load_models_gpu([patcher])
    options = patcher.model_options["transformer_options"]

    def run() -> None:
        with torch.inference_mode():
            patcher.model.apply_model(transformer_options=options, **inputs)

    return run


def _in_turn(
    device: torch.device, plain: Callable[[], None], patched: Callable[[], None], pairs: int
) -> str:
    made, ratios, seconds = SimpleNamespace(device=device), [], []
    for index in range(pairs):
        order = (plain, patched) if index % 2 == 0 else (patched, plain)
        times = [training_step.timed(made, run) for run in order]
        one, other = times if index % 2 == 0 else reversed(times)
        ratios.append(other / one)
        seconds.append(one)
    peaks = [_peak(device, run) for run in (plain, patched)]
    return (
        f"{training_step.spread(ratios)} of {1000 * statistics.median(seconds):.1f} ms, "
        f"{_on_the_card(device, plain, patched)}peak {(peaks[1] - peaks[0]) / 2**20:+.0f} MiB"
    )


def _on_the_card(
    device: torch.device, plain: Callable[[], None], patched: Callable[[], None]
) -> str:
    """The same ratio of the card's own time."""
    if device.type == "cpu":
        return ""
    times = [[_kernels(run) for run in (plain, patched)] for _ in range(PROFILED)]
    ratios = [with_adapter / bare for bare, with_adapter in times]
    bare = statistics.median(bare for bare, _ in times)
    return f"on the card {training_step.spread(ratios)} of {1000 * bare:.1f} ms, "


def _kernels(run: Callable[[], None]) -> float:
    """Seconds of all kernels and copies of one run."""
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds, acc_events=True) as profile:
        run()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def _peak(device: torch.device, run: Callable[[], None]) -> int:
    if device.type == "cpu":
        return 0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return torch.cuda.max_memory_allocated() - before


def adapter(model: Any) -> Adapter:
    """A random one that fits: for five blocks, or for all of a U-Net's input blocks."""
    architecture = architecture_of(model)
    width, offset_width = architecture.widths(model)[0], architecture.offset_width(model)
    blocks = 1 if architecture.NAME == "unet" else min(LAYERS, len(architecture.blocks(model)))
    return random_adapter(architecture.NAME, width, blocks, offset_width=offset_width)


def network_inputs(family: dict[str, Any], model: Any, small: bool, device: Any) -> dict[str, Any]:
    """Two samples at 1024 pixels, SD1.5's at 512; the same everywhere."""
    side = 16 if small else 128 if family["channels"] == 16 else family["side"]
    draw = functools.partial(torch.randn, generator=torch.Generator().manual_seed(2))
    given = {
        "x": draw(2, family["channels"], side, side),
        "t": torch.tensor([0.7, 0.7]),
        "c_crossattn": draw(2, 154 if family["channels"] == 16 else 77, family["width"]),
    }
    if family["pooled"]:
        given["y"] = draw(2, model.adm_channels)
    return {key: value.to(device) for key, value in given.items()}


def _newer(full: Any, small: bool, device: Any) -> tuple[Any, dict[str, Any]]:
    full = memory_by_count.small(full) if small else full
    model = memory_by_count.filled(memory_by_count.built(full, device))
    side = memory_by_count.SIDE // full.cell
    given = {
        "x": torch.randn(1, *full.latent, side, side),
        "t": torch.tensor([0.7]),
        "c_crossattn": torch.randn(1, *full.text),
        **small_models.KINDS[full.kind].more(1),
    }
    if "y" in given:
        given["y"] = torch.randn(1, model.diffusion_model.params.vec_in_dim)
    if "num_tokens" in given:
        given["num_tokens"] = full.text[0]
    return model, {
        key: value.to(device) if torch.is_tensor(value) else value for key, value in given.items()
    }
