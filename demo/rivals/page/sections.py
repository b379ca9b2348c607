"""Sections of demo/RIVALS.md that have a command of their own, and that command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

PAGE = Path(__file__).resolve().parents[2] / "RIVALS.md"


class Results(Protocol):
    """A module that measures and tells."""

    SECTION: str

    def run(self, *, minutes: float | None) -> None: ...
    def table(self) -> str: ...


def main(results: Results, arguments: Sequence[str], about: str) -> None:
    """Measures what is missing, shows all on the page, and prints it."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="run")
    parser.add_argument("--minutes", type=float, help="begin nothing after so many")
    options = parser.parse_args(arguments)
    if options.command == "run":
        results.run(minutes=options.minutes)
    made = results.table()
    put(results.SECTION, made)
    print(made)


def put(section: str, made: str, page: Path = PAGE) -> None:
    """Puts a table between the page's marks for it; nothing where it has none."""
    begin, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if begin not in text:
        return
    before, _, rest = text.partition(begin)
    page.write_text(f"{before}{begin}\n{made}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
