"""Pairs of an image and its captions, found in a folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput
from . import refusal
from .gathering import Gathered, gather
from .known import Known
from .pictures.images import Look
from .reading import sources
from .reading.listing import list_folder
from .report import Report


@dataclass(frozen=True)
class Pair:
    """An image, the captions that are true of it, and near ones that are not (`name.neg.txt`).

    size: (width, height) of the upright picture; None where it has not been looked at.
    worse: pictures of the same captions that this one is better than.
    """

    image: Path
    captions: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    worse: tuple[Path, ...] = ()


def find(folder: Path, known: Known | None = None) -> tuple[list[Pair], Report]:
    """The pairs below a folder, in the order of their paths, and what else there is.

    Captions come from a `.txt` of the image's name (a line each), from `metadata.jsonl` and from
    COCO captions files; an image may have them from several. One that has none there takes them
    from its `.caption` or `.json`, from `metadata.csv` or another trainer's list: the first of
    these in the order of `sources.RANK`. Hidden files and folders are left out. Every image is
    decoded once (JPEGs at reduced size), so a truncated one is known now; known: those that an
    earlier start has decoded are not again.

    Raises BadInput where the folder is missing or has no image, no caption, no image with a
    caption, or fewer than two distinct captions.
    """
    folder = _existing(Path(folder))
    listing = list_folder(folder)
    if not listing.images:
        raise refusal.no_images(listing)
    gathered = gather(listing)
    captioned = [path for path in gathered.own if path in gathered.captions]
    worse = [path for image in captioned for path in gathered.worse.get(image, ())]
    looks = (known or Known()).looks(list(dict.fromkeys([*captioned, *worse])))
    pairs = _pairs(gathered, looks)
    report = _report(pairs, gathered, looks)
    if not pairs:
        raise refusal.no_pairs(folder, gathered, report)
    if len({caption for pair in pairs for caption in pair.captions}) < 2:
        raise BadInput(
            f"All images in {folder} have the same caption; training tells captions apart and "
            "needs at least two different ones."
        )
    return pairs, report


def _existing(folder: Path) -> Path:
    """The folder; `~` is the user's own where the shell has left it as it is."""
    if folder.is_dir():
        return folder
    try:
        expanded = folder.expanduser()
    except RuntimeError:  # ~somebody unknown
        expanded = folder
    if expanded.is_file():
        raise BadInput(f"{expanded} is a file; give --data a folder of images.")
    if not expanded.is_dir():
        raise BadInput(f"There is no folder {expanded}; give --data a folder of images.")
    return expanded


def _pairs(gathered: Gathered, looks: dict[Path, Look | str]) -> list[Pair]:
    pairs = []
    for image in gathered.own:
        look = looks.get(image)
        own = sources.clean(gathered.captions.get(image, ()))
        if own and isinstance(look, Look):
            # A line that is also a caption of the image is true of it, whatever the file's name.
            wrong = (line for line in sources.clean(gathered.negatives.get(image, ())))
            negatives = tuple(line for line in wrong if line not in own)
            worse = gathered.worse.get(image, ())
            worse = tuple(path for path in worse if isinstance(looks[path], Look))
            pairs.append(Pair(image, own, negatives, (look.width, look.height), worse))
    return pairs


def _report(pairs: list[Pair], gathered: Gathered, looks: dict[Path, Look | str]) -> Report:
    listing = gathered.listing
    broken = [(path, look) for path, look in looks.items() if isinstance(look, str)]
    animated = [p for p, look in looks.items() if isinstance(look, Look) and look.animated]
    counts = Counter(caption for pair in pairs for caption in pair.captions)
    total = sum(len(gathered.captions[pair.image]) for pair in pairs)
    stand = Counter(place for pair in pairs for place in gathered.places[pair.image])
    notes = [f"{path} is animated; its first frame is taken" for path in animated]
    return Report(
        pairs=len(pairs),
        captions=counts.total(),
        duplicates=total - len(counts),
        uncaptioned=tuple(
            image
            for image in gathered.own
            if image not in gathered.captions and image not in gathered.lost
        ),
        imageless=tuple(gathered.imageless),
        unreadable=tuple(sorted([*listing.unreadable, *gathered.unreadable, *broken])),
        unsupported=tuple(listing.unsupported),
        sources=dict(stand),
        passed_over=tuple(gathered.passed_over),
        notes=(*gathered.notes, *notes),
        others=dict(listing.others),
        compared=sum(len(pair.worse) for pair in pairs),
    )
