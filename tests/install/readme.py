"""The commands that README.md gives, read from its code blocks."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

README = Path(__file__).resolve().parent.parent.parent / "README.md"
_FENCED = re.compile(r"^( *)(```+|~~~+)[^\n]*\n(.*?)^ *\2", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:\A|\n[ \t]*\n)((?: {4,}\S[^\n]*\n(?:[ \t]*\n(?= {4}))?)+)")


def commands(title: str, text: str | None = None) -> list[str]:
    """The lines of all code blocks of the section `## title`, fenced or indented.

    Fails with a sentence where README.md has no such section, or no code in it.
    """
    whole = README.read_text(encoding="utf-8") if text is None else text
    found = re.search(rf"^## {re.escape(title)}\s*\n(.*?)(?=^## |\Z)", whole, re.M | re.S)
    assert found, f'README.md has no section "## {title}": the tests follow it word for word.'
    section = found[1]
    blocks = [match[3] for match in _FENCED.finditer(section)]
    blocks += _INDENTED.findall(_FENCED.sub("\n\n", section) + "\n")
    lines = [line for block in blocks for line in textwrap.dedent(block).splitlines() if line]
    assert lines, f'The section "## {title}" of README.md has no commands in a code block.'
    return lines
