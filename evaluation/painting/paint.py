"""Paints what a trial lacks, picture by picture; whatever ends it, what is painted stays."""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.utils
import latent_preview
import torch
from PIL import Image

from ..errors import TrialError
from ..trial import Cell, Trial, records
from ..trial.folder import LOCK, PAINTED
from .arms import Arm, Texts, check_texts
from .cost import Cost, device_name, measured
from .picture import as_image, encode, sample

AHEAD = 16
"""Prompts whose texts are encoded at once."""
TOGETHER = 8
"""Pictures of one arm that follow each other where changing the arm takes time."""
NEGATIVE = "negative"
"""Under which name the manifest's sampling holds the negative prompt."""


def paint(
    trial: Trial,
    arms: Sequence[Arm],
    vae: Any,
    metadata: Mapping[str, Any],
    cells: Sequence[Cell] | None = None,
    told: Callable[[int, int], object] = lambda done, all: None,
) -> int:
    """Paints these cells of the trial, or all that are missing; returns how many it painted.

    arms: those of the manifest, by name. vae: a `comfy.sd.VAE`. metadata: key -> value, written
    into every picture as JSON beside the cell's own settings. told: called after each picture with
    how many of these cells are there, and their number.

    Raises TrialError, in one sentence, also where the disk is full; and ComfyUI's
    InterruptProcessingException between any two steps.
    """
    manifest = trial.manifest
    check_texts(arms, len(manifest.prompts))
    by_name = {arm.name: arm for arm in arms}
    queue = deque(_in_turn(trial.missing() if cells is None else cells, arms))
    texts = Texts(manifest.prompts, str(manifest.sampling.details.get(NEGATIVE, "")))
    work = _Work(trial, by_name, vae, metadata, _Progress(len(queue), manifest.sampling.steps))
    painted, ready, everything = 0, frozenset(), len(queue)
    with torch.inference_mode(), _one_sentence(trial):
        while queue:
            cell = queue[0]
            if not trial.has(cell):
                if cell.prompt not in ready:
                    ready = frozenset(_ahead(queue))
                    texts.prepare([(arm, prompt) for arm in arms for prompt in ready])
                if work.paint(cell, texts):
                    painted += 1
                elif len(queue) > 1:
                    # Another painter is at the same pictures: it is met from the other end.
                    queue.reverse()
            queue.remove(cell)
            work.progress.finish(everything - len(queue))
            told(everything - len(queue), everything)
    return painted


def _in_turn(cells: Sequence[Cell], arms: Sequence[Arm]) -> list[Cell]:
    """The cells in the order they are painted.

    A LoRA is written into the model's weights whenever its arm has its turn: where an arm has one,
    the arms change after several pictures, not after each.
    """
    if not any(arm.model.patches for arm in arms):
        return list(cells)
    place = {arm.name: at for at, arm in enumerate(arms)}
    size = TOGETHER * len(arms)
    blocks = (cells[at : at + size] for at in range(0, len(cells), size))
    return [c for block in blocks for c in sorted(block, key=lambda cell: place[cell.arm])]


def _ahead(queue: Iterable[Cell]) -> Iterator[str]:
    """The next prompts in painting order."""
    prompts = dict.fromkeys(cell.prompt for cell in queue)
    yield from list(prompts)[:AHEAD]


class _Progress:
    """One bar over the steps of all pictures, with ComfyUI's previews."""

    def __init__(self, pictures: int, steps: int) -> None:
        self._bar = comfy.utils.ProgressBar(pictures * steps)
        self._steps, self._done, self._previewers = steps, 0, {}

    def finish(self, done: int) -> None:
        """So many pictures are there."""
        self._done = done
        self._bar.update_absolute(done * self._steps)

    def callback(self, model: Any) -> Callable[[int, torch.Tensor, torch.Tensor, int], None]:
        """What a sampler of this model calls after each step."""
        previewer = self._previewer(model)

        def step(at: int, x0: torch.Tensor, x: torch.Tensor, steps: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            shown = previewer and previewer.decode_latent_to_preview_image("JPEG", x0)
            share = (at + 1) * self._steps // max(steps, 1)
            self._bar.update_absolute(self._done * self._steps + share, preview=shown or None)

        return step

    def show(self, model: Any, image: Image.Image) -> None:
        """A finished picture, where ComfyUI shows previews: it stays on the node as the last."""
        if self._previewer(model) is not None:
            value = (self._done + 1) * self._steps
            preview = ("JPEG", image, latent_preview.MAX_PREVIEW_RESOLUTION)
            self._bar.update_absolute(value, preview=preview)

    def _previewer(self, model: Any) -> Any:
        form = model.model.latent_format
        if form not in self._previewers:
            self._previewers[form] = latent_preview.get_previewer(model.load_device, form)
        return self._previewers[form]


class _Work:
    """Paints cells into their trial, and records what each cost."""

    def __init__(
        self,
        trial: Trial,
        arms: Mapping[str, Arm],
        vae: Any,
        metadata: Mapping[str, Any],
        progress: _Progress,
    ) -> None:
        self.trial, self.arms, self.vae = trial, arms, vae
        self.metadata, self.progress = metadata, progress

    def paint(self, cell: Cell, texts: Texts) -> bool:
        """Whether the picture in its place is the one painted here."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        arm, settings = self.arms[cell.arm], self.trial.manifest.sampling
        device = arm.model.load_device
        with measured(device) as cost:
            callback = self.progress.callback(arm.model)
            pixels = sample(
                arm, self.vae, texts.of(arm, cell.prompt), cell.seed, settings, callback
            ).cpu()
        image = as_image(pixels)
        self.progress.show(arm.model, image)
        png = encode(image, {**self.metadata, "softrepa_trial": self._told(cell)})
        if not self.trial.write(cell, png):
            return False
        self._record(cell, png, cost, device_name(device))
        return True

    def _told(self, cell: Cell) -> Mapping[str, Any]:
        """What a picture's metadata tell of it."""
        manifest = self.trial.manifest
        sampling = manifest.sampling
        plain = {key: value for key, value in vars(sampling).items() if key != "details"}
        return {
            "trial": manifest.name,
            **vars(cell),
            "text": manifest.prompt(cell.prompt).text,
            **plain,
            **sampling.details,
        }

    def _record(self, cell: Cell, png: bytes, cost: Cost, device: str) -> None:
        entry = {
            **vars(cell),
            "picture_sha256": hashlib.sha256(png).hexdigest(),
            **vars(cost),
            "device": device,
        }
        folder = self.trial.folder
        records.append(folder / PAINTED, folder / LOCK, [entry])


@contextmanager
def _one_sentence(trial: Trial) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise TrialError(
            f"{error.filename or trial.folder} cannot be written ({error.strerror}): free some "
            "space, then paint again; what is painted stays."
        ) from error
