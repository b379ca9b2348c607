"""English number and article: which noun a number counts, and the forms that go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ...errors import BadInput
from .words import Words

if TYPE_CHECKING:
    import inflect

_NEXT = re.compile(r"\s+([\w'\u2019-]+)")
_LAST = re.compile(r"([\w'\u2019-]+)\s+$")
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*")


@dataclass(frozen=True)
class Span:
    """A word of a caption."""

    start: int
    end: int
    text: str


def next_word(caption: str, at: int) -> Span | None:
    """The word after position `at`; None at the end and at punctuation."""
    match = _NEXT.match(caption, at)
    return match and Span(match.start(1), match.end(1), match.group(1))


def last_word(caption: str, at: int) -> Span | None:
    """The word before position `at`; None at the start and after punctuation."""
    match = _LAST.search(caption, 0, at)
    return match and Span(match.start(1), match.end(1), match.group(1))


def counted_noun(caption: str, at: int, words: Words) -> Span | None:
    """The noun that a number ending at `at` counts; None where it cannot be told for certain.

    Listed attributes may stand between. What follows must end the phrase, or the word could as
    well be an adjective: "a fluffy dog".
    """
    word = next_word(caption, at)
    while word is not None and words.section(word.text) == "attribute":
        word = next_word(caption, word.end)
    if word is None or ends_phrase(word.text, words) or not word.text.isalpha():
        return None
    after = next_word(caption, word.end)
    return word if after is None or ends_phrase(after.text, words) else None


def ends_phrase(word: str, words: Words) -> bool:
    """Whether the words around a thing end before this one."""
    lowered = word.lower()
    return lowered in words.grammar["boundary"] or words.section(lowered) == "number"


def plural(noun: str, listed: Mapping[str, str]) -> str:
    """The plural of a noun in lower case: the word list's, else English's."""
    return listed.get(noun) or _plural(noun)


def singular(noun: str, listed: Mapping[str, str]) -> str | None:
    """The singular of a plural in lower case; None where the word is no plural of any."""
    for one, many in listed.items():
        if many == noun:
            return one
    return _singular(noun)


def article(word: str) -> str:
    """a or an before this word."""
    return _article(word) if _WORD.fullmatch(word) else "a"


@cache
def _plural(noun: str) -> str:
    return _english().plural_noun(noun).lower()


@cache
def _singular(noun: str) -> str | None:
    if not _WORD.fullmatch(noun):
        return None
    one = _english().singular_noun(noun) or None
    # "buddha's" and the like: what does not come back is no plural.
    return one if one and _english().plural_noun(one) == noun else None


@cache
def _article(word: str) -> str:
    return _english().a(word).split()[0]


@cache
def _english() -> inflect.engine:
    try:
        import inflect
    except ImportError as error:
        raise BadInput(
            "Hard captions need the Python package inflect, which knows English plurals: install "
            "what requirements.txt of this pack lists, or train with --hard-share 0."
        ) from error
    return inflect.engine()


def article_before(caption: str, at: int, old: str, new: str) -> tuple[int, int, str] | None:
    """The change of a/an before position `at` when `old` there becomes `new`, if there is one."""
    word = last_word(caption, at)
    if word is None or word.text.lower() != article(old) or article(old) == article(new):
        return None
    return word.start, word.end, article(new)
