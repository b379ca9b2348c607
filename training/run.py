"""A run from its settings: checks first, then data, model and cache, then the loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import base_model, comfy_model, data, design, dry_run, plot
from . import cache as caching
from .batches import Batches
from .data.hard_captions import chosen
from .data.words import read_words
from .denoiser import Denoiser
from .engine import Engine
from .errors import BadInput
from .files import remove_remains
from .joint_blocks import training_options
from .log import Log, Silence, read_log
from .loop import Loop
from .objectives import OBJECTIVES, Objective
from .output import Output, find_output, labels, start_date
from .processes import Processes, join
from .settings import Settings
from .state import Progress, check_same_run, load_tensors, read_run
from .validation import split, validation_batches


@dataclass(frozen=True)
class Prepared:
    """All that is known before long work: the model is loaded, the data is listed."""

    settings: Settings
    output: Output
    labels: dict[str, str]
    pairs: Sequence[data.Pair]
    patcher: Any
    encoder: comfy_model.Encoder
    hard: dict[str, tuple[str, ...]]
    progress: Progress

    @property
    def framing(self) -> data.Framing:
        return data.Framing(self.settings.resolution, self.settings.buckets)

    @property
    def further(self) -> list[str]:
        """Captions to embed beside the pairs' own."""
        hard = [caption for captions in self.hard.values() for caption in captions]
        return [*hard, *([""] if self.settings.start == "bos" else [])]


def run(settings: Settings) -> None:
    """Trains an adapter, or reports what that would take.

    `comfy_model.start` must have been called. Raises BadInput and the loop's errors.
    """
    processes = join()
    try:
        prepared = _prepare(settings, processes)
        if settings.dry_run:
            print(dry_run.report(prepared))
            return
        _train(prepared, processes)
    finally:
        processes.close()


def _prepare(settings: Settings, processes: Processes) -> Prepared:
    """Checks what the flags alone tell, then what the model's header does, then the data."""
    output = find_output(settings.output)
    given = labels(settings.title, settings.description, settings.author, settings.thumbnail)
    words = read_words(*([settings.hard_words] if settings.hard_words else []))
    base = base_model.find(settings.checkpoint, settings.model, settings.text_encoder, settings.vae)
    settings = settings.filled(design.recipe_for(base.outline))
    design.check(settings, base.outline)
    training_options(base.outline, settings.checkpointing)
    progress = _progress(settings, output)
    if processes.first:
        print(*base.notes, sep="\n", end="\n" if base.notes else "")
    pairs, report = data.find(settings.data)
    if processes.first:
        print(report)
        report.write(output.data_report)
    _check_sizes(settings, len(pairs))
    patcher = comfy_model.load_model(base.files.model)
    hard = {}
    if settings.hard_share > 0.0:
        captions = list(dict.fromkeys(caption for pair in pairs for caption in pair.captions))
        # As many as a row can use: each takes as much room in the cache as the caption itself.
        count = max(1, round(settings.hard_share * (settings.batch_size - 1)))
        hard = chosen(captions, count, settings.seed, words)
    encoder = comfy_model.Encoder(base.files, patcher)
    prepared = Prepared(settings, output, given, pairs, patcher, encoder, hard, progress)
    if progress.step:
        saved = read_run(output.state)[1]
        check_same_run(output.state, {**saved, "dataset": ""}, _described(prepared, ""))
    return prepared


def _progress(settings: Settings, output: Output) -> Progress:
    """Where to go on. Raises BadInput where an unfinished run would be overwritten unasked."""
    if not output.state.is_file() or settings.overwrite or settings.dry_run:
        return Progress(started=start_date())
    progress, _ = read_run(output.state)
    if settings.resume:
        return progress
    if progress.step < settings.steps:
        raise BadInput(
            f"{output.adapter.name} belongs to a run that stopped at step {progress.step}: go on "
            "with --resume, or start anew with --overwrite."
        )
    return Progress(started=start_date())


def _check_sizes(settings: Settings, pairs: int) -> None:
    held_out = 0 if settings.val_fraction == 0.0 else max(2, round(pairs * settings.val_fraction))
    if settings.batch_size > pairs - held_out:
        raise BadInput(
            f"--batch-size {settings.batch_size} is larger than the set of {pairs} pairs"
            + (f", {held_out} of them held out" if held_out else "")
            + ": lower it or add pictures."
        )


def _described(prepared: Prepared, dataset: str) -> dict[str, Any]:
    """What a resumed run must share, as JSON has it; the adapter's metadata tell it too."""
    settings, model = prepared.settings, prepared.patcher.model
    architecture = "mmdit" if hasattr(model.diffusion_model, "joint_blocks") else "unet"
    return {
        **settings.decisive(),
        "layers": ",".join(design.chosen_layers(settings, model)),
        "placement": design.placement(settings, architecture),
        **prepared.encoder.files.described(),
        "pairs": len(prepared.pairs),
        "dataset": dataset,
    }


def objective_of(settings: Settings) -> Objective:
    """The objective with its own hyper-parameters; the settings must be filled."""
    common = {"temperature": settings.temperature, "normalise": settings.normalise}
    if settings.objective == "softrepa":
        return OBJECTIVES["softrepa"](own_weight=settings.own_weight, **common)
    return OBJECTIVES["agsm"](
        gamma_positive=settings.gamma_positive, gamma_negative=settings.gamma_negative, **common
    )


def _train(prepared: Prepared, processes: Processes) -> None:
    settings, output = prepared.settings, prepared.output
    cache = caching.build(
        prepared.pairs,
        prepared.encoder,
        settings.cache or default_cache(output, prepared),
        prepared.framing,
        further=prepared.further,
        rank=processes.rank,
        world_size=processes.count,
        barrier=processes.wait,
    )
    described = _described(prepared, cache.identity)
    progress = prepared.progress
    if progress.step:
        check_same_run(output.state, read_run(output.state)[1], described)
    denoiser = Denoiser(prepared.patcher, settings.precision)
    bos = cache.text("").context[0] if settings.start == "bos" else None
    live = design.tokens_for(settings, denoiser.model, bos).copy(denoiser.device, trainable=True)
    objective = objective_of(settings)
    average = live.copy(denoiser.device, False) if objective.SURVEY == "average" else None
    optimizer = torch.optim.AdamW(
        list(live.tensors.values()), settings.learning_rate, weight_decay=settings.weight_decay
    )
    if progress.step:
        load_tensors(output.state, progress, live, average, optimizer)
    batches, held_out = _batches(prepared, cache, denoiser.timesteps)
    processes.wait()
    log: Log | Silence = Silence()
    if processes.first:
        for path in (output.adapter, output.best, output.state):
            remove_remains(path)
        log = Log(output.log, progress.step, settings.steps, settings.tensorboard)
    options = training_options(denoiser.model, settings.checkpointing)
    loop = Loop(
        engine=Engine(denoiser, objective, settings.micro_batch, options),
        batches=batches,
        text_of=cache.text,
        live=live,
        average=average,
        average_decay=settings.average_decay,
        optimizer=optimizer,
        progress=progress,
        run=described,
        output=output,
        log=log,
        processes=processes,
        save_every=settings.save_every,
        labels=prepared.labels,
        validation=validation_batches(batches, held_out),
    )
    try:
        loop.train(settings.steps)
    finally:
        log.close()
        if processes.first:
            plot.draw(read_log(output.log), output.plot, output.adapter.stem)


def _batches(
    prepared: Prepared, cache: caching.Cache, timesteps: int
) -> tuple[Batches, tuple[int, ...]]:
    settings = prepared.settings
    training, held_out = split(len(cache), settings.val_fraction, settings.seed)

    def hard(caption: str, rng: random.Random) -> list[str]:
        known = list(prepared.hard.get(caption, ()))
        return rng.sample(known, len(known))

    batches = Batches(
        cache=cache,
        images=training,
        shapes={index: cache.shape(index) for index in range(len(cache))},
        size=settings.batch_size,
        timesteps=timesteps,
        seed=settings.seed,
        hard_share=settings.hard_share,
        hard_captions=hard,
    )
    return batches, held_out


def default_cache(output: Output, prepared: Prepared) -> Path:
    """Beside the adapter, one folder a base model, so that further runs find it."""
    return output.adapter.parent / f".cache-{prepared.encoder.identity[:12]}"
