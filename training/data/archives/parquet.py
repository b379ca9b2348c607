"""A `.parquet` as Hugging Face's datasets write it: a row a picture, its bytes in a column."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from typing import Any

from ...errors import BadInput
from ..reading import sources
from . import storage
from .samples import Sample

_PICTURES = ("image", "img", "picture", "jpg", "png", "webp", "bytes")
"""Columns that hold a picture's bytes, alone or as `bytes` of a struct; best first."""
_ROWS = 256
"""Read at once while all are looked at."""
_ONE_READER = threading.Lock()


def samples(address: str) -> Iterator[Sample]:
    """Every row. Raises BadInput where there are no pictures in it or it cannot be read."""
    file = _opened(address)
    column = _column(address, file)
    captions = [name for name in file.schema_arrow.names if name in sources.KEYS]
    for group in range(file.num_row_groups):
        at = 0
        wanted = {"row_groups": [group], "columns": [column, *captions], "batch_size": _ROWS}
        for batch in file.iter_batches(**wanted):
            for row in batch.to_pylist():
                sample = Sample(f"row {group} {at}", name=f"{group} {at}")
                sample.contents = _bytes(row[column])
                chosen = _chosen(row, sample)
                if chosen is not None:
                    sample.give(sources.METADATA, chosen[1])
                yield sample
                at += 1


def _chosen(row: dict[str, Any], sample: Sample) -> tuple[str, list[Any]] | None:
    try:
        return sources.chosen(row)
    except TypeError as error:
        sample.faults.append((sample.key, str(error)))
        return None


def contents(address: str, name: str) -> io.BytesIO:
    """A picture by the name that its sample gave it. Raises OSError."""
    group, row = map(int, name.split())
    with _ONE_READER:
        return io.BytesIO(_bytes(_group(address, group)[row].as_py()) or b"")


def shown(name: str) -> str:
    group, row = name.split()
    return f"row {row} of group {group}"


@functools.lru_cache(2)
def _group(address: str, group: int) -> Any:
    """The pictures of a row group, which are next to each other in the order they are asked for."""
    file = _opened(address)
    return file.read_row_group(group, columns=[_column(address, file)]).column(0)


def _opened(address: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BadInput(
            f"{address}: pyarrow reads .parquet and is not installed (pip install pyarrow)."
        ) from error
    try:
        return pyarrow.parquet.ParquetFile(storage.opened(address))
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(
            f"{address} is damaged or no .parquet ({' '.join(str(error).split())})."
        ) from error


def _column(address: str, file: Any) -> str:
    names = file.schema_arrow.names
    for name in _PICTURES:
        if name in names and _holds_bytes(file.schema_arrow.field(name).type):
            return name
    raise BadInput(
        f"{address} holds no pictures: a column named image with their bytes is looked for, and "
        f"there are {', '.join(names[:8])}. Pictures that it only names by address are not fetched."
    )


def _holds_bytes(kind: Any) -> bool:
    inner = {field.name: field.type for field in kind} if hasattr(kind, "num_fields") else {}
    return "binary" in str(inner.get("bytes", kind))


def _bytes(value: Any) -> bytes | None:
    return value.get("bytes") if isinstance(value, dict) else value
