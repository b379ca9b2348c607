"""The things that a prompt speaks of, and what it says of each: a rule for English, no parser.

A group is what stands between function words and punctuation; its last word is the thing, the words
before it say what the thing is like. Groups behind an article, a number or the like count; only
where a prompt has none of these do all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import GuidanceError


@dataclass(frozen=True)
class Subject:
    """A thing and what is said of it, in the prompt's own words."""

    noun: str
    attributes: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return (*self.attributes, self.noun)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words(
    "a an the this that these those its his her their my your our some each every another one two "
    "three four five six seven eight nine ten eleven twelve several many few both"
)
_COPULAS = _words("is are was were be being looks")
_ENDS = _words(
    "and or but with without of on in at to from by for as near beside behind between among above "
    "below over under beneath underneath inside outside around against into onto through across "
    "along next left right front far close top bottom who which while where when has have had "
    "holding wearing there it not no like upon toward towards"
)
_ADVERBS = _words("very really quite slightly extremely highly too so only just")
_NO_THINGS = _words(
    "photo photograph picture image painting drawing sketch illustration render rendering view "
    "shot close-up closeup portrait scene style background foreground light lighting quality "
    "resolution detail details masterpiece side middle center centre group pair couple lot bunch "
    "set row pile stack number variety bit piece kind sort type"
)
"""What a picture is, or how many; not a thing in it."""
_NO_VERBS = _words(
    "ring earring king string spring wing ceiling building clothing swing pudding stocking "
    "lightning viking sibling duckling"
)
"""Nouns that end as verbs do."""

_WEIGHT = re.compile(r":\s*[\d.]+\s*(?=\))")
_EMBEDDING = re.compile(r"\bembedding:\S+")
_PARTS = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*|[^\w\s()\[\]\\]")


def subjects_of(prompt: str) -> tuple[Subject, ...]:
    """The things of a prompt in its order. Weights, brackets and embeddings are left out."""
    text = _EMBEDDING.sub(" ", _WEIGHT.sub(" ", prompt))
    found: list[Subject] = []
    bare: list[Subject] = []
    group: list[str] = []
    opened, said = False, False  # behind an article; behind "is"

    def close() -> None:
        subject = _subject(group)
        if subject is not None and said and not opened and found:
            last = found[-1]
            found[-1] = Subject(last.noun, (*last.attributes, *subject.words))
        elif subject is not None and subject.noun.lower() not in _NO_THINGS:
            (found if opened else bare).append(subject)
        group.clear()

    for part in _PARTS.findall(text):
        word = part.lower()
        if word in _DETERMINERS or word.isdigit():
            close()
            opened, said = True, False
        elif word in _COPULAS or word in _ENDS or not word[0].isalpha():
            close()
            # "red and white" and "red, white" go on describing what "is" was said of.
            said = word in _COPULAS or (said and word in {"and", ","})
            opened = False
        else:
            group.append(part)
    close()
    return tuple(found or bare)


def _subject(group: list[str]) -> Subject | None:
    words = [word for word in group if word.lower() not in _ADVERBS]
    if len(words) > 1 and words[-1].lower().endswith("ing") and words[-1].lower() not in _NO_VERBS:
        words.pop()  # a cat sitting
    return Subject(words[-1], tuple(words[:-1])) if words else None


def parse_words(text: str) -> tuple[Subject, ...]:
    """What a user wrote: `red cat, blue dog`, the thing last. Raises GuidanceError."""
    subjects = []
    for phrase in re.split(r"[,;\n]", text):
        words = phrase.split()
        if words:
            subjects.append(Subject(words[-1], tuple(words[:-1])))
    if not subjects:
        raise GuidanceError("words holds none: write some of the prompt's, as in cat, dog.")
    return tuple(subjects)


def written(subjects: tuple[Subject, ...]) -> str:
    """The same as a user would write it for `parse_words`."""
    return ", ".join(" ".join(subject.words) for subject in subjects)
