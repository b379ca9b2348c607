"""A run from its settings: checks first, then data, model and cache, then the loop."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import base_model, comfy_model, data, design, dry_run, memory, previous
from . import cache as caching
from .batches import Batches
from .cache import keys
from .data.hard_captions import chosen
from .data.words import read_words
from .denoiser import Denoiser
from .engine import Engine
from .errors import BadInput
from .files import remove_remains
from .joint_blocks import training_options
from .lock import alone
from .log import Log, Silence
from .loop import Loop
from .objectives import OBJECTIVES, Objective
from .output import Output, find_output, labels
from .processes import Processes, join
from .saving import Saving
from .settings import Settings
from .soft_tokens import SoftTokens
from .state import Progress, load_tensors
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
    auto_micro_batch: bool

    @property
    def done(self) -> bool:
        """Whether the adapter is there already, of these very settings and as many steps."""
        return previous.is_done(self.settings, self.output, self.progress, self.labels)

    @functools.cached_property
    def images(self) -> list[str]:
        """The pictures' keys in the cache: every file is read for them, so once a run."""
        return keys.of_images(self.pairs, self.framing)

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """What a resumed run must share, as JSON has it; the adapter's metadata tell it too."""
        settings, model = self.settings, self.patcher.model
        architecture = "mmdit" if hasattr(model.diffusion_model, "joint_blocks") else "unet"
        return {
            **settings.decisive(),
            "layers": ",".join(design.chosen_layers(settings, model)),
            "placement": design.placement(settings, architecture),
            **self.encoder.files.described(),
            "pairs": len(self.pairs),
            "dataset": keys.of_run(self.encoder.identity, self.pairs, self.images, self.further),
        }

    @functools.cached_property
    def plan(self) -> data.Plan:
        """How every picture is framed. Raises BadInput where the resolution cannot be."""
        settings = self.settings
        training, held_out = split(len(self.pairs), settings.val_fraction, settings.seed)
        framing = data.Framing(settings.resolution, settings.buckets)
        return data.plan(self.pairs, framing, training, held_out, settings.batch_size)

    @property
    def framing(self) -> data.Framing:
        return self.plan.framing

    @property
    def further(self) -> list[str]:
        """Captions to embed beside the pairs' own."""
        hard = [caption for captions in self.hard.values() for caption in captions]
        return [*hard, *([""] if self.settings.start == "bos" else [])]


def run(settings: Settings) -> None:
    """Trains an adapter, or reports what that would take.

    `comfyui.start` must have been called. Raises BadInput and the loop's errors.
    """
    processes = join()
    try:
        output = find_output(settings.output)
        if settings.dry_run:
            print(dry_run.report(_prepare(settings, output, processes)))
            return
        with alone(output.adapter) if processes.first else nullcontext():
            prepared = _prepare(settings, output, processes)
            if prepared.done:
                if processes.first:
                    print(f"{output.adapter.name} is done already: {prepared.progress.step} steps.")
                return
            _train(prepared, processes)
    finally:
        processes.close()


def _prepare(settings: Settings, output: Output, processes: Processes) -> Prepared:
    """Checks what the flags alone tell, then what the model's header does, then the data."""
    given = labels(settings.title, settings.description, settings.author, settings.thumbnail)
    words = read_words(*([settings.hard_words] if settings.hard_words else []))
    progress = previous.progress_of(settings, output)
    base = base_model.find(settings.checkpoint, settings.model, settings.text_encoder, settings.vae)
    auto = settings.micro_batch is None
    settings = settings.filled(design.recipe_for(base.outline))
    design.check(settings, base.outline)
    training_options(base.outline, settings.checkpointing)
    if processes.first:
        print(*base.notes, sep="\n", end="\n" if base.notes else "")
    pairs, report = data.find(settings.data)
    if processes.first:
        report.show()
        if progress.step == 0:
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
    prepared = Prepared(settings, output, given, pairs, patcher, encoder, hard, progress, auto)
    if prepared.plan.crops and processes.first:
        print(prepared.plan)
    if progress.step:
        previous.take_up(settings, output, progress, prepared.described)
    if processes.first and progress.step < settings.steps:
        report.write(output.data_report, prepared.plan)
    return prepared


def _check_sizes(settings: Settings, pairs: int) -> None:
    held_out = 0 if settings.val_fraction == 0.0 else max(2, round(pairs * settings.val_fraction))
    if settings.batch_size > pairs - held_out:
        raise BadInput(
            f"--batch-size {settings.batch_size} is larger than the set of {pairs} pairs"
            + (f", {held_out} of them held out" if held_out else "")
            + ": lower it or add pictures."
        )


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
        images=prepared.images,
        further=prepared.further,
        rank=processes.rank,
        world_size=processes.count,
        barrier=processes.wait,
    )
    progress = prepared.progress
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
        for path in (output.adapter, output.best, output.state, output.log, output.plot):
            remove_remains(path)
        log = Log(output.log, progress.step, settings.steps, settings.tensorboard)
    options = training_options(denoiser.model, settings.checkpointing)
    loop = Loop(
        engine=Engine(denoiser, objective, _micro_batch(prepared, denoiser, live, cache), options),
        batches=batches,
        text_of=cache.text,
        live=live,
        average=average,
        average_decay=settings.average_decay,
        optimizer=optimizer,
        progress=progress,
        saving=Saving(output, prepared.described, prepared.labels),
        log=log,
        processes=processes,
        save_every=settings.save_every,
        remedies=memory.Remedies.of(settings, denoiser.model, prepared.auto_micro_batch),
        validation=validation_batches(batches, held_out),
    )
    try:
        loop.train(settings.steps)
    finally:
        log.close()


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
        held = dry_run.saved_bytes(denoiser, live, cache.latent(0)[None], text, settings)
    except Exception as error:
        if not memory.ran_out(error):
            raise
        held = sys.maxsize  # one at a time, if at all
    memory.free()
    return memory.affordable(denoiser.device, held, settings.batch_size)


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
