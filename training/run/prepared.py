"""All that is known before long work: flags, model and data are checked; nothing is computed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...injection.architectures import architecture_of
from .. import data
from ..cache import keys
from ..cache.reading import distinct
from ..data.captions.hard_captions import Choice
from ..data.captions.variants import AS_THEY_ARE
from ..data.captions.words import read_words
from ..data.known import Known
from ..data.pairs import Pair, texts_of
from ..errors import BadInput
from ..model import base_model, comfy_model, design
from ..model.graph.options import room, training_options
from ..settings.values import Settings, compares
from ..step.processes import Processes
from ..step.validation import split
from .output import previous
from .output.adapter import Output, labels
from .output.state import Progress

MANIFEST = ".known-files.sqlite"
"""Beside the output, or in --cache: what earlier starts know of pictures and model files."""


@dataclass(frozen=True)
class Prepared:
    """All that is known before long work: the model is loaded, the data is listed."""

    settings: Settings
    output: Output
    labels: dict[str, str]
    training_set: data.TrainingSet
    patcher: Any
    encoder: comfy_model.Encoder
    known: Known
    hard: Choice
    progress: Progress
    auto_micro_batch: bool

    @property
    def done(self) -> bool:
        """Whether the adapter is there already, of these very settings and as many steps."""
        return previous.is_done(self.settings, self.output, self.progress, self.labels)

    @property
    def room(self) -> tuple[int, int]:
        """What the model has to leave free on the device, and what it would with blocks' inputs in
        the main memory; (0, 0) where it must be there whole."""
        settings = self.settings
        if not settings.checkpointing:
            return 0, 0
        predictions = 1 if self.auto_micro_batch else settings.micro_batch
        return room(self.patcher.model, settings.resolution, predictions)

    @property
    def pairs(self) -> Sequence[Pair]:
        """All that the cache holds: those to train on, then what these are compared with."""
        return self.training_set.pairs

    @functools.cached_property
    def images(self) -> list[str]:
        """The pictures' keys in the cache: every file is read for them, so once a run."""
        return keys.of_images(self.pairs, self.framing, self.known)

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """What a resumed run must share, as JSON has it; the adapter's metadata tell it too."""
        settings, model = self.settings, self.patcher.model
        architecture = architecture_of(model).NAME
        return {
            **settings.decisive(),
            "layers": ",".join(design.chosen_layers(settings, model)),
            "placement": design.placement(settings, architecture),
            **self.encoder.files.described(),
            "pairs": self.training_set.own,
            "dataset": keys.of_run(self.encoder.identity, self.pairs, self.images, self.further),
        }

    @functools.cached_property
    def plan(self) -> data.Plan:
        """How every picture is framed. Raises BadInput where the resolution cannot be."""
        settings = self.settings
        training, held_out = split(self.training_set.own, settings.val_fraction, settings.seed)
        sampled = settings.latents == "sampled"
        framing = data.Framing(settings.resolution, settings.buckets, sampled=sampled)
        size, follows = settings.batch_size, self.training_set.follows
        return data.plan(self.pairs, framing, training, held_out, size, follows)

    @property
    def framing(self) -> data.Framing:
        return self.plan.framing

    @property
    def further(self) -> list[str]:
        """Captions to embed beside the pairs' own, before training."""
        settings = self.settings
        bos = [""] if settings.start == "bos" else []
        if settings.cache_texts != "all":
            return bos
        variants, own = settings.variants, _own(self.pairs) if settings.hard_captions else ()
        hard = [each for one in own for order in variants.of(one) for each in self.hard(order)]
        drawn = variants.further(distinct(self.pairs)) if variants != AS_THEY_ARE else []
        return [*hard, *drawn, *bos]

    @property
    def weights(self) -> dict[int, float] | None:
        """How often each pair is shown against others; None where all are equal."""
        if not self.settings.data_weight:
            return None
        return {index: self.training_set.weight(index) for index in range(self.training_set.own)}


def prepare(
    settings: Settings, output: Output, processes: Processes, base: base_model.Base | None = None
) -> Prepared:
    """Checks what the flags alone tell, then what the model's header does, then the data.

    base: the model, where it is not the files that the settings name.
    """
    given = labels(settings.title, settings.description, settings.author, settings.thumbnail)
    words = read_words(*([settings.hard_words] if settings.hard_words else []))
    progress = previous.progress_of(settings, output)
    base = base or base_model.find(
        settings.checkpoint, settings.model, settings.text_encoder, settings.vae
    )
    auto = settings.micro_batch is None
    settings = settings.completed(design.family(base.outline))
    design.check(settings, base.outline)
    training_options(base.outline, settings.checkpointing)
    if processes.first:
        print(*base.notes, sep="\n", end="\n" if base.notes else "")
    known = Known((settings.cache or output.adapter.parent) / MANIFEST)
    pairs, report = processes.in_turn(
        lambda: data.find_all(settings.data, settings.data_weight, known)
    )
    if processes.first:
        report.show()
        if progress.step == 0:
            report.write(output.data_report)
    pictures = compares(settings.objective) == "pictures"
    training_set = data.compared(pairs) if pictures else data.alone(pairs)
    _check_sizes(settings, training_set.own)
    patcher = base.load()
    count = settings.hard_captions
    hard = Choice(_own(pairs) if count else (), count, settings.seed, words)
    encoder = base.encoder(patcher, known, settings.latents == "sampled")
    prepared = Prepared(
        settings, output, given, training_set, patcher, encoder, known, hard, progress, auto
    )
    if prepared.plan.crops and processes.first:
        print(prepared.plan)
    if progress.step:
        previous.take_up(settings, output, progress, prepared.described)
    if processes.first and progress.step < settings.steps:
        report.write(output.data_report, prepared.plan)
    return prepared


def _own(pairs: Sequence[Pair]) -> list[str]:
    """The pairs' true captions, each once."""
    return list(dict.fromkeys(caption for captions, _ in texts_of(pairs) for caption in captions))


def _check_sizes(settings: Settings, pairs: int) -> None:
    held_out = 0 if settings.val_fraction == 0.0 else max(2, round(pairs * settings.val_fraction))
    if settings.batch_size > pairs - held_out:
        raise BadInput(
            f"--batch-size {settings.batch_size} is larger than the set of {pairs} pairs"
            + (f", {held_out} of them held out" if held_out else "")
            + ": lower it or add pictures."
        )
