"""A `.tar` as WebDataset lays it out: files of one sample share the name up to the first dot.

Read by the standard library: of what the webdataset package does besides (shuffling, splitting over
processes, decoding) nothing is used here, where every sample is encoded once and then drawn freely.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator

from ...errors import BadInput
from ..reading import sources
from ..reading.listing import picture_suffixes
from ..reading.text_files import NotText, decode
from . import storage
from .samples import Sample

_NEGATIVE = "neg.txt"


def samples(address: str) -> Iterator[Sample]:
    """Every sample with a picture or a caption; one is told as soon as another begins, as files of
    a sample lie together. Raises BadInput where the file cannot be read to its end."""
    kinds = picture_suffixes()
    sample: Sample | None = None
    with storage.opened(address) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    folder, _, base = member.name.rpartition("/")
                    if not member.isfile() or base.startswith("."):
                        continue
                    stem, _, ending = base.partition(".")
                    key = f"{folder}/{stem}"
                    if sample is None or sample.key != key:
                        if sample is not None:
                            yield sample
                        sample = Sample(key)
                    contents = archive.extractfile(member).read()
                    _take(sample, member, ending.lower(), contents, kinds)
                # tarfile stops without a word where a header is cut off or damaged.
                if any(storage.part(address, archive.offset, tarfile.BLOCKSIZE)):
                    raise tarfile.ReadError(f"no header at byte {archive.offset}")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BadInput(f"{address} is damaged or no .tar ({error}).") from error
    if sample is not None:
        yield sample


def _take(
    sample: Sample, member: tarfile.TarInfo, ending: str, contents: bytes, kinds: frozenset[str]
) -> None:
    if os.path.splitext(f".{ending}")[1] in kinds or f".{ending}" in kinds:
        if sample.contents is None:
            sample.name = f"{member.name} {member.offset_data} {member.size}"
            sample.contents = contents
        return
    try:
        if ending == _NEGATIVE:
            sample.negatives += decode(contents).splitlines()
        elif ending == "txt":
            sample.give(sources.TEXT, decode(contents).splitlines())
        elif ending == "caption":
            sample.give(sources.CAPTION, decode(contents).splitlines())
        elif ending == "json":
            found = json.loads(decode(contents))
            chosen = sources.chosen(found) if isinstance(found, dict) else None
            if chosen is not None:
                sample.give(sources.JSON, chosen[1])
    except (NotText, ValueError, TypeError) as error:
        sample.faults.append((member.name, " ".join(str(error).split())))


def contents(address: str, name: str) -> io.BytesIO:
    """A picture by the name that its sample gave it. Raises OSError."""
    _, offset, size = name.rsplit(" ", 2)
    return io.BytesIO(storage.part(address, int(offset), int(size)))


def shown(name: str) -> str:
    return name.rsplit(" ", 2)[0]
