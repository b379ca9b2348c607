"""A run from its settings: checks first, then the cache, then the loop."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from .. import cache as caching
from ..errors import BadInput
from ..model import design
from ..model.denoiser import Denoiser
from ..model.graph.options import training_options
from ..model.soft_tokens import SoftTokens
from ..objectives import OBJECTIVES
from ..settings.values import Settings
from ..step import memory, schedule
from ..step.batches import Batches
from ..step.engine import Engine
from ..step.footprint import bytes_of_prediction
from ..step.processes import Processes, join
from ..step.validation import split, validation_batches
from . import dry_run
from .loop import Loop
from .measuring import Measuring
from .output.adapter import Output, find_output
from .output.boards import Board, tensorboard, wandb
from .output.files import remove_remains
from .output.lock import alone
from .output.log import Log, Silence
from .output.saving import Saving
from .output.state import load_tensors
from .prepared import Prepared, prepare
from .previews import Previews
from .stopping import Host


def run(settings: Settings, host: Host | None = None) -> None:
    """Trains an adapter, or reports what that would take.

    host: what the run is part of. `comfyui.start` must have been called, unless this is ComfyUI's
    own process. Raises BadInput and the loop's errors.
    """
    host = host or Host()
    processes = join(settings.cpu)
    try:
        output = find_output(settings.output)
        if not processes.all_see(output.adapter.parent):
            raise BadInput(
                f"{output.adapter.parent} is not the same folder on all nodes, and the run's state "
                "must be there for all: name an --output on a disk that they share."
            )
        if settings.dry_run:
            print(dry_run.report(prepare(settings, output, processes, host.base)))
            return
        with alone(output.adapter) if processes.first else nullcontext():
            prepared = prepare(settings, output, processes, host.base)
            if prepared.done:
                if processes.first:
                    print(f"{output.adapter.name} is done already: {prepared.progress.step} steps.")
                return
            _train(prepared, processes, host)
    finally:
        processes.close()


def _train(prepared: Prepared, processes: Processes, host: Host) -> None:
    settings, output = prepared.settings, prepared.output
    previews = None
    if settings.preview_every and processes.first:
        previews = Previews(prepared, host.show)
    folder = settings.cache or default_cache(output, prepared)
    sharing = processes.sharing(folder)
    cache = caching.build(
        prepared.pairs,
        prepared.encoder,
        folder,
        prepared.framing,
        images=prepared.images,
        further=prepared.further,
        cached=settings.cache_texts,
        bits=settings.text_bits,
        rank=sharing.rank,
        world_size=sharing.count,
        barrier=processes.wait,
    )
    progress = prepared.progress
    uniform = settings.timesteps == "uniform"
    denoiser = Denoiser(
        prepared.patcher, settings.precision, uniform, prepared.room, prepared.encoder.moving
    )
    bos = cache.text("").context[0] if settings.start == "bos" else None
    live = design.tokens_for(settings, denoiser.model, bos).copy(denoiser.device, trainable=True)
    objective = OBJECTIVES[settings.objective](**settings.hyperparameters)
    averaged = objective.SURVEY == "average" or settings.save_average
    average = live.copy(denoiser.device, False) if averaged else None
    optimizer = torch.optim.AdamW(
        list(live.tensors.values()), settings.learning_rate, weight_decay=settings.weight_decay
    )
    if progress.step:
        load_tensors(output.state, progress, live, average, optimizer)
    batches, held_out = _batches(prepared, cache, denoiser.timesteps)
    processes.wait()
    log: Log | Silence = Silence()
    if processes.first:
        for path in (output.adapter, output.best, output.state, output.log, output.plot):
            remove_remains(path)
        log = Log(output.log, progress.step, settings.steps, _boards(prepared), host.watch)
    options = training_options(denoiser.model, settings.checkpointing, denoiser.place)
    micro_batch = _micro_batch(prepared, denoiser, live, cache)
    measuring = Measuring(
        engine=Engine(denoiser, objective, micro_batch, options, settings.train_weight),
        latent_of=cache.latent,
        text_of=cache.stored,
        draw=functools.partial(_drawn, cache, denoiser),
        live=live,
        average=average,
        judged=average if settings.save_average else live,
        processes=processes,
        stop=host.stop,
        halve=prepared.auto_micro_batch,
        say=log.say,
    )
    loop = Loop(
        measuring=measuring,
        batches=batches,
        average_decay=settings.average_decay,
        optimizer=optimizer,
        rate=functools.partial(schedule.rate, settings),
        progress=progress,
        saving=Saving(
            output,
            prepared.described,
            prepared.labels,
            settings.keep,
            settings.save_every,
            settings.save_average,
        ),
        log=log,
        save_every=settings.save_every,
        remedies=memory.Remedies.of(settings, prepared.auto_micro_batch),
        accumulate=settings.accumulate,
        patience=settings.patience,
        validation=validation_batches(batches, held_out),
        previews=previews,
        preview_every=settings.preview_every,
    )
    try:
        loop.train(settings.steps)
    finally:
        log.close()


def _boards(prepared: Prepared) -> list[Callable[[], Board | None]]:
    """What else is told of each step; opened at the first."""
    settings, output, progress = prepared.settings, prepared.output, prepared.progress
    made: list[Callable[[], Board | None]] = []
    if settings.tensorboard:
        made.append(functools.partial(tensorboard, output.board, progress.step))
    if settings.wandb:
        name = output.adapter.stem
        made.append(functools.partial(wandb, name, progress.started, prepared.described))
    return made


def _micro_batch(
    prepared: Prepared, denoiser: Denoiser, live: SoftTokens, cache: caching.Cache
) -> int:
    """The user's own, else as many predictions as fit: a row's at most, beyond which nothing is
    saved. On a CPU it does not follow the free memory, so that equal runs give equal bytes."""
    settings = prepared.settings
    if not prepared.auto_micro_batch or denoiser.device.type == "cpu":
        return settings.micro_batch
    try:
        text = cache.text(cache.captions(0)[0])
        held = bytes_of_prediction(
            denoiser,
            live,
            cache.latent(0)[None],
            text,
            settings.checkpointing,
            settings.train_weight,
            computed=True,
        )
    except Exception as error:
        if not memory.ran_out(error):
            raise
        held = sys.maxsize  # one at a time, if at all
    memory.free()
    return memory.affordable(denoiser.device, held, settings.row)


def _drawn(cache: caching.Cache, denoiser: Denoiser, captions: Sequence[str]) -> list[Any]:
    """Texts that are embedded when they are drawn. The encoder may have taken the model's place."""
    found = cache.drawn(captions)
    denoiser.load()
    return found


def _batches(
    prepared: Prepared, cache: caching.Cache, timesteps: int
) -> tuple[Batches, tuple[int, ...]]:
    settings = prepared.settings
    training, held_out = split(prepared.training_set.own, settings.val_fraction, settings.seed)

    def hard(caption: str, rng: random.Random) -> list[str]:
        known = list(prepared.hard(caption))
        return rng.sample(known, len(known))

    batches = Batches(
        cache=cache,
        images=training,
        shapes=cache.shapes,
        size=settings.batch_size,
        timesteps=timesteps,
        seed=settings.seed,
        hard_share=settings.hard_share,
        hard_captions=hard,
        negatives=settings.negatives,
        replay=settings.replay,
        worse=prepared.training_set.worse,
        variants=settings.variants,
        weights=prepared.weights,
    )
    return batches, held_out


def default_cache(output: Output, prepared: Prepared) -> Path:
    """Beside the adapter, one folder a base model, so that further runs find it."""
    return output.adapter.parent / f".cache-{prepared.encoder.identity[:12]}"
