"""Finding the pairs of one data folder, or of several, each with a weight."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ..errors import BadInput
from .archives import find_archives, is_archive
from .known import Known, sets
from .pairs import Pair, Pairs, texts_of
from .pictures.images import Look
from .reading import refusal, sources
from .reading.gathering import Gathered, gather
from .reading.listing import list_folder, picture_suffixes
from .report import Report


def find_all(
    given: Sequence[Path | str], weights: Sequence[float] = (), known: Known | None = None
) -> tuple[Pairs, Report]:
    """The pairs of all folders and archives, one after the other, and what else there is.

    weights: one for each, or none. Raises BadInput where `find` does, and where one folder lies in
    another, whose pictures would be there twice.
    """
    archives = [is_archive(each) for each in given]
    _check_apart([each for each, packed in zip(given, archives, strict=True) if not packed])
    pairs, reports = Pairs(), []
    for at, (each, packed) in enumerate(zip(given, archives, strict=True)):
        if packed:
            own, further = find_archives(each, known or Known())
        else:
            own, report = _found(_existing(each), known)
            further = [report]
        pairs.extend(own, weights[at] if weights else 1.0, at)
        reports += further
    named = ", ".join(map(str, given))
    if not pairs:
        raise refusal.no_samples(named, _together(reports))
    _check_captions(pairs, named)
    return pairs, _together(reports)


def find(folder: Path, known: Known | None = None) -> tuple[Pairs, Report]:
    """The pairs below a folder, in the order of their paths, and what else there is.

    Captions come from a `.txt` of the image's name (a line each), from `metadata.jsonl` and from
    COCO captions files; an image may have them from several. One that has none there takes them
    from its `.caption` or `.json`, from `metadata.csv` or another trainer's list: the first of
    these in the order of `sources.RANK`. Hidden files and folders are left out. Every image is
    decoded once (JPEGs at reduced size), so a truncated one is known now; known: what an earlier
    start found is taken from there, all of it where no file has changed.

    Raises BadInput where the folder is missing or has no image, no caption, no image with a
    caption, or fewer than two distinct captions.
    """
    pairs, report = _found(_existing(Path(folder)), known)
    _check_captions(pairs, folder)
    return pairs, report


def _found(folder: Path, known: Known | None) -> tuple[Pairs, Report]:
    if known is None or known.path is None:
        return _read(folder, Known())
    # Taken before anything is read: what changes meanwhile is noticed at the next start.
    now = sets.fingerprint(folder, picture_suffixes())
    found = sets.read(known, folder, now)
    if found is None:
        found = _read(folder, known)
        sets.keep(known, folder, now, *found)
    return found


def _read(folder: Path, known: Known) -> tuple[Pairs, Report]:
    listing = list_folder(folder)
    if not listing.images:
        raise refusal.no_images(listing)
    gathered = gather(listing)
    captioned = [path for path in gathered.own if path in gathered.captions]
    worse = [path for image in captioned for path in gathered.worse.get(image, ())]
    looks = known.looks(list(dict.fromkeys([*captioned, *worse])))
    pairs = _pairs(gathered, looks)
    report = _report(pairs, gathered, looks)
    if not pairs:
        raise refusal.no_pairs(folder, gathered, report)
    return Pairs.of(folder, pairs), report


def _check_captions(pairs: Pairs, where: Path | str) -> None:
    captions = (caption for own, _ in texts_of(pairs) for caption in own)
    first = next(captions)
    if all(caption == first for caption in captions):
        raise BadInput(
            f"All images in {where} have the same caption; training tells captions apart and "
            "needs at least two different ones."
        )


def _check_apart(folders: Sequence[Path]) -> None:
    real = [Path(os.path.realpath(_existing(folder))) for folder in folders]
    for one, other in itertools.permutations(range(len(folders)), 2):
        if real[one].is_relative_to(real[other]):
            raise BadInput(
                f"--data {folders[one]} lies in --data {folders[other]}, so its pictures would be "
                "there twice: name folders that lie apart."
            )


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
            size = (look.width, look.height)
            pairs.append(Pair(image, own, negatives, size, sha256=look.sha256, worse=worse))
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


def _together(reports: Sequence[Report]) -> Report:
    """Counts added up, names one after the other."""
    if len(reports) == 1:
        return reports[0]
    merged = {}
    for field in fields(Report):
        values = [getattr(report, field.name) for report in reports]
        if isinstance(values[0], int):
            merged[field.name] = sum(values)
        elif isinstance(values[0], tuple):
            merged[field.name] = tuple(itertools.chain.from_iterable(values))
        else:
            merged[field.name] = dict(sum(map(Counter, values), Counter()))
    return Report(**merged)
