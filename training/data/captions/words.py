"""The word list behind hard captions: which words exclude each other, and a little grammar."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ..reading import text_files

SECTIONS = ("attribute", "number", "relation")
_GRAMMAR_LISTS = ("boundary", "symmetric", "uncounted", "uncounting")
_GRAMMAR_TABLES = ("agreement", "plural")
ENGLISH = Path(__file__).with_name("words_en.toml")


@dataclass(frozen=True)
class Group:
    """Words of a category that exclude each other. `entries`: the words of each meaning."""

    section: str
    category: str
    entries: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Place:
    """A listed word or phrase in a caption."""

    start: int
    end: int
    phrase: str
    section: str


@dataclass(frozen=True)
class Words:
    """A word list. Phrases are in lower case; `grammar` has the keys of the file's section."""

    groups: tuple[Group, ...]
    grammar: Mapping[str, Any]

    @cached_property
    def _members(self) -> dict[str, list[tuple[Group, int, int]]]:
        """For each phrase: its groups, the entry in each, and the position in the entry."""
        members: dict[str, list[tuple[Group, int, int]]] = {}
        for group in self.groups:
            for number, entry in enumerate(group.entries):
                for position, phrase in enumerate(entry):
                    members.setdefault(phrase, []).append((group, number, position))
        return members

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._members, key=lambda phrase: (-len(phrase), phrase))
        return re.compile("|".join(map(_bounded, longest_first)) or r"(?!)", re.IGNORECASE)

    def places(self, caption: str) -> Iterator[Place]:
        """The listed phrases of a caption from left to right; of nested ones the longest."""
        for match in self._pattern.finditer(caption):
            phrase = _plain(match.group())
            if phrase in self._members:
                section = self._members[phrase][0][0].section
                yield Place(match.start(), match.end(), phrase, section)

    def section(self, phrase: str) -> str | None:
        """attribute, number or relation, or None for a phrase that is not listed."""
        members = self._members.get(phrase.lower())
        return members[0][0].section if members else None

    def categories(self, phrase: str) -> list[str]:
        """The categories that a listed phrase belongs to."""
        return list(dict.fromkeys(group.category for group, _, _ in self._members[phrase]))

    def alternatives(self, phrase: str) -> list[tuple[str, str]]:
        """(category, other phrase) for each listed phrase of another, excluding meaning."""
        same = {
            each for group, number, _ in self._members[phrase] for each in group.entries[number]
        }
        found = []
        for group, number, position in self._members[phrase]:
            for other, entry in enumerate(group.entries):
                if other != number and not same.intersection(entry):
                    chosen = entry[position if position < len(entry) else 0]
                    found.append((group.category, chosen))
        return list(dict.fromkeys(found))

    def same(self, phrase: str, other: str) -> bool:
        """Whether two listed phrases mean the same."""
        return phrase == other or any(
            other in group.entries[number] for group, number, _ in self._members[phrase]
        )

    def seen_in(self, captions: Iterable[str]) -> Words:
        """Only the meanings that these captions speak of, where a group has two or more of them.

        A negative with a word that no caption has is told apart by that word alone.
        """
        seen = {place.phrase for caption in captions for place in self.places(caption)}
        groups = []
        for group in self.groups:
            known = tuple(entry for entry in group.entries if seen.intersection(entry))
            # The singular comes first in a group of numbers, and must stay there.
            whole = len(known) < 2 or (group.section == "number" and known[0] != group.entries[0])
            groups.append(group if whole else replace(group, entries=known))
        return Words(tuple(groups), self.grammar)

    def singular(self, phrase: str) -> bool:
        """Whether a listed number is one."""
        return self._members[phrase][0][1] == 0

    def canonical(self, caption: str) -> str:
        """The caption in lower case with every listed phrase as the first of its meaning."""
        parts, at = [], 0
        for place in self.places(caption):
            group, number, _ = self._members[place.phrase][0]
            parts += [caption[at : place.start], group.entries[number][0]]
            at = place.end
        return _plain("".join([*parts, caption[at:]]))


def read_words(*files: Path) -> Words:
    """The English list and what the user's own files add to it.

    Raises BadInput where a file cannot be read or is not of the shape that `words_en.toml` shows.
    """
    groups: list[Group] = []
    grammar: dict[str, Any] = {name: [] for name in _GRAMMAR_LISTS}
    grammar |= {name: {} for name in _GRAMMAR_TABLES}
    for file in (ENGLISH, *files):
        try:
            table = text_files.read_toml(file)
            groups += _groups(table)
            _extend(grammar, table.get("grammar", {}))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(
                f"The word list {file} cannot be used ({error}); it needs the form of "
                f'{ENGLISH.name}, such as [attribute] with colour = [["red", "blue"]].'
            ) from error
    return Words(tuple(groups), grammar)


def _groups(table: Mapping[str, Any]) -> Iterator[Group]:
    unknown = set(table) - {*SECTIONS, "grammar"}
    if unknown:
        raise ValueError(f"unknown section {', '.join(sorted(unknown))}")
    for section in SECTIONS:
        for category, groups in table.get(section, {}).items():
            for entries in groups:
                if not isinstance(entries, list) or len(entries) < 2:
                    raise ValueError(f"{section}.{category} needs groups of two or more words")
                yield Group(section, category, tuple(_forms(entry) for entry in entries))


def _forms(entry: str) -> tuple[str, ...]:
    forms = tuple(_plain(form) for form in entry.split("|"))
    if not all(forms):
        raise ValueError(f"an empty word in {entry!r}")
    return forms


def _extend(grammar: dict[str, Any], table: Mapping[str, Any]) -> None:
    for name in _GRAMMAR_LISTS:
        grammar[name] += [word.lower() for word in table.get(name, [])]
    for name in _GRAMMAR_TABLES:
        lowered = {key.lower(): value.lower() for key, value in table.get(name, {}).items()}
        grammar[name].update(lowered)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _bounded(phrase: str) -> str:
    """A pattern for a whole phrase. Scripts without case have no spaces to look for, either."""
    pattern = r"\s+".join(re.escape(word) for word in phrase.split())
    before, after = (_spaced(phrase[0]), _spaced(phrase[-1]))
    return ("(?<![\\w-])" if before else "") + pattern + ("(?![\\w-])" if after else "")


def _spaced(character: str) -> bool:
    return character.lower() != character.upper() or character.isdecimal()


def join_case(original: str, replacement: str, loud: bool) -> str:
    """The replacement with the capitals of the original; `loud` where all of the caption is so."""
    if loud or (len(original) > 1 and original.isupper()):
        return replacement.upper()
    if original[:1].isupper():
        return replacement[:1].upper() + replacement[1:]
    return replacement
