"""What is said of a folder that cannot be trained on: what was found, and what is expected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ..report import Report, listed, printable
from .gathering import Gathered
from .listing import Listing
from .sources import KEYS_NAMED


def no_images(listing: Listing) -> BadInput:
    """The refusal of a folder without pictures that can be read."""
    if listing.unsupported:
        kinds = Counter(path.suffix.lower() for path, _ in listing.unsupported)
        most = kinds.most_common(1)[0][0]
        remedy = next(says for path, says in listing.unsupported if path.suffix.lower() == most)
        return _refused(
            f"{listing.root} holds no images that can be read, but {listed(kinds)}: {remedy}."
        )
    if listing.unreadable:
        return _refused(
            f"{listing.root} holds no images that can be opened "
            f"({_unreadable(listing.unreadable)})."
        )
    beside = _beside(listing)
    return _refused(
        f"{listing.root} holds no images{f', only {beside}' if beside else ''}; put images and "
        "their captions there."
    )


def no_pairs(folder: Path, gathered: Gathered, report: Report) -> BadInput:
    """The refusal of a folder in which no image has a caption, or none can be read."""
    if gathered.captions:
        said = f"No image with a caption in {folder} can be read: {_unreadable(report.unreadable)}"
        return _refused(f"{said}{_unsupported(gathered.listing)}; replace or mend these files.")
    images = gathered.listing.images
    found = [f"{len(images)} images ({_some([path.name for path in images])})"]
    if gathered.imageless:
        names = _some([Path(name).name if " (" not in name else name for name in report.imageless])
        found.append(f"{len(gathered.imageless)} captions of other names ({names})")
    if gathered.keyless:
        row = gathered.keyless[0]
        found.append(
            f"{len(gathered.keyless)} entries without {KEYS_NAMED}, the first in {row.place.name}"
            + (f" with {row.keys}" if row.keys else "")
        )
    found += [_unreadable(report.unreadable)] if report.unreadable else []
    found += [beside] if (beside := _beside(gathered.listing)) else []
    return _refused(
        f"No image in {folder} has a caption that can be read. Found: {', '.join(found)}"
        f"{_unsupported(gathered.listing)}. Write one into a .txt of the image's name, or as "
        "file_name and text into metadata.jsonl."
    )


def no_samples(named: str, report: Report) -> BadInput:
    """The refusal of archives in which no picture has a caption, or none can be read."""
    found = [
        f"{len(report.uncaptioned)} pictures without a caption",
        f"{len(report.imageless)} captions without a picture",
        *([_unreadable(report.unreadable)] if report.unreadable else []),
    ]
    return _refused(
        f"No picture in {named} has a caption. Found: {', '.join(found)}. In a .tar both have the "
        f"same name (0001.jpg, 0001.txt), in a .parquet a row has an image and {KEYS_NAMED}."
    )


def _refused(sentence: str) -> BadInput:
    return BadInput(printable(sentence))


def _unreadable(files: Sequence[tuple[Path, str]]) -> str:
    path, reason = files[0]
    return f"{len(files)} unreadable files, the first {path}: {reason}"


def _unsupported(listing: Listing) -> str:
    if not listing.unsupported:
        return ""
    path, remedy = listing.unsupported[0]
    kinds = listed(Counter(path.suffix.lower() for path, _ in listing.unsupported))
    return f"; besides {kinds} ({path.name}: {remedy})"


def _beside(listing: Listing) -> str:
    counts = Counter(path.suffix.lower() for path, _ in listing.texts)
    counts.update(dict.fromkeys((".jsonl",), len(listing.metadata)))
    counts.update({".json": len(listing.jsons), ".csv": len(listing.tables)})
    counts.subtract({".json": listing.others[".json"]})
    return listed({name: n for name, n in (counts + listing.others).items() if n > 0})


def _some(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:2])) + (", ..." if len(names) > 2 else "")
