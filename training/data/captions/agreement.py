"""English number and article: which noun a number counts, and the forms that go with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .words import Words

_NEXT = re.compile(r"\s+([\w'\u2019-]+)")
_LAST = re.compile(r"([\w'\u2019-]+)\s+$")
_HISSING = re.compile(r"(s|x|z|ch|sh)$")
_ALWAYS_LONG = re.compile(r"(x|ch|sh|ss|zz)es$")
_LONG_U = re.compile(r"(uni|use|usu|eu|one\b|once)")


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


def plural(noun: str, irregular: Mapping[str, str]) -> str:
    """The plural of a noun in lower case: the irregular one, else by rule."""
    if noun in irregular:
        return irregular[noun]
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if _HISSING.search(noun) else "s")


def singular(noun: str, irregular: Mapping[str, str]) -> str | None:
    """The singular of a plural in lower case; None where the word is no plural of any."""
    for one, many in irregular.items():
        if many == noun:
            return one
    candidates = [noun[:-1]] if noun.endswith("s") else []
    candidates += [noun[:-2]] if noun.endswith("es") else []
    candidates += [noun[:-3] + "y"] if noun.endswith("ies") else []
    # The rule is not one to one: "boxes" is of "box", but "houses" of "house".
    if _ALWAYS_LONG.search(noun):
        candidates = candidates[1:]
    back = [one for one in candidates if len(one) > 1 and plural(one, irregular) == noun]
    return back[0] if back and not noun.endswith("ss") else None


def article(word: str) -> str:
    """a or an before this word."""
    lowered = word.lower()
    return "an" if lowered[:1] in tuple("aeiou") and not _LONG_U.match(lowered) else "a"


def article_before(caption: str, at: int, old: str, new: str) -> tuple[int, int, str] | None:
    """The change of a/an before position `at` when `old` there becomes `new`, if there is one."""
    word = last_word(caption, at)
    if word is None or word.text.lower() != article(old) or article(old) == article(new):
        return None
    return word.start, word.end, article(new)
