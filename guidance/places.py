"""Where the words of a prompt stand in the text that the network is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import GuidanceError
from .words import Subject, written

Word = tuple[int, ...]
"""The places of one word's tokens."""


@dataclass(frozen=True)
class Thing:
    """A subject by the places of its words."""

    noun: Word
    attributes: tuple[Word, ...] = ()

    @property
    def places(self) -> frozenset[int]:
        return frozenset(place for word in (self.noun, *self.attributes) for place in word)


@dataclass(frozen=True)
class Places:
    """things: what to look after. text: the places of all tokens of the prompt's own words.
    content: all places but the first and last of each chunk. length: rows of text in all, a
    multiple of a chunk's 77. A place counts rows of text as the encoder gives them.
    """

    things: tuple[Thing, ...]
    text: Word
    content: Word
    length: int


def find(clip: Any, prompt: str, subjects: Sequence[Subject]) -> Places:
    """The places of these subjects' words in a prompt, as this `comfy.sd.CLIP` reads it.

    A word that comes twice in the prompt and in `subjects` is found twice, in that order. Prompts
    of more than 75 tokens are several chunks. Raises GuidanceError for a word that is not there.
    """
    chunks = _chunks(clip, prompt)
    tokens: list[tuple[int, int]] = []  # of the prompt's words: token, place
    content: list[int] = []
    start = 0
    for chunk in chunks:
        end = _end(chunk)
        tokens += [(chunk[at], start + at) for at in range(1, end)]
        content += range(start + 1, start + len(chunk) - 1)
        start += len(chunk)
    taken: set[int] = set()
    things = []
    for subject in subjects:
        noun = _word(clip, tokens, subject.noun, taken, prompt)
        taken.update(noun)
        attributes = []
        for attribute in subject.attributes:
            attributes.append(_word(clip, tokens, attribute, taken, prompt))
            taken.update(attributes[-1])
        things.append(Thing(noun, tuple(attributes)))
    return Places(tuple(things), tuple(place for _, place in tokens), tuple(content), start)


def _chunks(clip: Any, text: str) -> list[list[Any]]:
    tokenized = clip.tokenize(text)
    rows = next((tokenized[key] for key in ("l", "g", "h") if key in tokenized), None)
    if rows is None:
        raise GuidanceError(
            "This CLIP reads prompts otherwise than SD1.x, SD2.x and SDXL do: connect the "
            "checkpoint's own."
        )
    return [[token for token, *_ in row] for row in rows]


def _end(chunk: Sequence[Any]) -> int:
    """Where the end token stands; tokens of embeddings are tensors and never it."""
    last = len(chunk) - 1
    return next((at for at in range(1, last) if _is(chunk[at], _END)), last)


_END = 49407


def _is(token: Any, number: int) -> bool:
    return isinstance(token, int) and token == number


def _word(
    clip: Any, tokens: Sequence[tuple[Any, int]], word: str, taken: set[int], prompt: str
) -> Word:
    """The first place of this word whose tokens nothing has taken."""
    [chunk, *_] = _chunks(clip, word)
    wanted = chunk[1 : _end(chunk)]
    for start in range(len(tokens) - len(wanted) + 1):
        found = tokens[start : start + len(wanted)]
        places = tuple(place for _, place in found)
        same = all(_is(token, number) for (token, _), number in zip(found, wanted, strict=True))
        if wanted and same and not taken.intersection(places):
            return places
    raise GuidanceError(
        f'The word "{word}" is not in the prompt "{prompt.strip()}", or not so often: write words '
        "that are, as they are spelt there."
    )


def require(places: Places, loss: str, subjects: Sequence[Subject]) -> None:
    """Raises GuidanceError where the loss has nothing to work on in these places."""
    if not places.things:
        raise GuidanceError(
            "No thing was recognised in the prompt: name its words in words, as in red cat, dog."
        )
    if loss == "overlap" and len(places.things) < 2:
        raise GuidanceError(
            f'overlap keeps things apart, and there is only "{written(tuple(subjects))}": name two '
            "or more in words, or choose published."
        )
    outside = set(places.text).difference(places.things[0].places)
    if loss == "pairs" and not (outside or any(thing.attributes for thing in places.things)):
        raise GuidanceError(
            "pairs needs a word that says what a thing is like: write it before the thing in "
            "words, as in red cat, or choose published."
        )
