"""Loss and retrieval accuracy on held-out pairs, by timestep range, on the same draws each time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..settings.randomness import python_random
from .batches import Batch, Batches
from .engine import Outcome
from .processes import Processes

RANGES = 5
MOST_BATCHES = 4


@dataclass(frozen=True)
class Validation:
    """loss and accuracy over all timesteps, and by range ("0-199", ...)."""

    loss: float
    accuracy: float
    by_timestep: dict[str, dict[str, float]]


def split(images: int, fraction: float, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(training, held out): indices below `images`; at least two held out where fraction > 0."""
    count = 0 if fraction == 0.0 else max(2, round(images * fraction))
    held_out = set(python_random(seed, "split").sample(range(images), min(count, images)))
    return tuple(i for i in range(images) if i not in held_out), tuple(sorted(held_out))


def validation_batches(batches: Batches, held_out: tuple[int, ...]) -> list[tuple[str, Batch]]:
    """The same few batches in every timestep range, with fixed captions, timesteps and noise.

    At most MOST_BATCHES a range, of one latent shape each, the shapes taking turns. So two
    validations differ by the tokens alone. An image alone in its shape is left out, since no other
    caption stands beside its own (`data.buckets` leaves none).
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for image in held_out:
        groups.setdefault(batches.shapes[image], []).append(image)
    parts = [_parts(group, batches.size) for group in groups.values()]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*parts))
    chosen = [images for images in turns if images is not None and len(images) >= 2][:MOST_BATCHES]
    width = batches.timesteps // RANGES
    result = []
    for part in range(RANGES):
        for at, images in enumerate(chosen):
            purpose = ("validation", part, at)
            timestep = part * width + python_random(batches.seed, *purpose).randrange(width)
            name = f"{part * width}-{(part + 1) * width - 1}"
            result.append((name, batches.compose(images, timestep, purpose)))
    return result


def _parts(group: list[int], size: int) -> list[list[int]]:
    """The group in parts of `size`; one image left over joins the part before."""
    starts = list(range(0, len(group), size))
    if len(starts) > 1 and len(group) - starts[-1] == 1:
        starts.pop()
    return [group[at:end] for at, end in zip(starts, [*starts[1:], len(group)], strict=True)]


def validate(
    evaluate: Callable[[Batch, range], Outcome],
    batches: list[tuple[str, Batch]],
    processes: Processes,
) -> Validation:
    """Runs all batches; one look at the results at the end.

    evaluate: a batch's loss and hits over some of its rows.
    """
    sums: dict[str, torch.Tensor] = {}
    for name, batch in batches:
        rows = len(batch.images)
        outcome = evaluate(batch, processes.share(rows))
        counts = outcome.loss.new_tensor([1.0, rows])
        found = torch.stack((outcome.loss, outcome.hits))
        processes.sum(found)
        sums[name] = sums.get(name, 0) + torch.cat((found, counts))
    by_timestep = {}
    for name, total in sums.items():
        loss, hits, count, rows = total.tolist()
        by_timestep[name] = {"loss": loss / count, "accuracy": hits / rows}
    loss, hits, count, rows = sum(sums.values()).tolist()
    return Validation(loss / count, hits / rows, by_timestep)
