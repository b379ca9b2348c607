"""Cells and tables as HTML: every text is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ..texts import Texts


def escaped(text: object) -> str:
    """A text as HTML."""
    return html.escape(str(text))


def cell_name(name: str) -> str:
    """A name for a narrow cell: a word too long for it may be broken, others may not."""
    words = (
        "<wbr>".join(escaped(word[at : at + 6]) for at in range(0, len(word), 6))
        if len(word) > 14
        else escaped(word)
        for word in name.split(" ")
    )
    return " ".join(words)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the first of each row names it."""
    above = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{above}</tr></thead><tbody>{body}</tbody></table>"


def warnings(sentences: Sequence[str], texts: Texts) -> str:
    """A box of sentences to look at; nothing for none."""
    if not sentences:
        return ""
    listed = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    heading = escaped(texts.say("warnings"))
    return f'<div class="warned"><strong>{heading}</strong><ul>{listed}</ul></div>'
