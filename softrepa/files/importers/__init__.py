"""Readers of adapter files: one small module a format, one row in IMPORTERS."""

from __future__ import annotations

from typing import Protocol

from ...adapter import Adapter
from ...errors import AdapterError
from . import agsm, anima, native, softrepa
from .content import Content


class Importer(Protocol):
    """A module that reads one kind of content."""

    def recognises(self, content: Content) -> bool: ...

    def read(self, content: Content) -> Adapter: ...


IMPORTERS: tuple[Importer, ...] = (native, anima, agsm, softrepa)
"""Asked in this order: what says what it is comes before what only its shapes tell."""


def read_content(content: Content) -> Adapter:
    """The adapter a file's content means. Raises AdapterError naming the file."""
    for importer in IMPORTERS:
        if importer.recognises(content):
            try:
                return importer.read(content)
            except AdapterError as error:
                if content.name in str(error):
                    raise
                raise AdapterError(f"{content.name}: {error}") from None
    raise AdapterError(
        f"{content.name} holds tokens of shape {tuple(content.tokens.shape)}; expected (tokens, "
        "width), (blocks, tokens, width) or (2, blocks, tokens, width)."
    )
