"""Where the words of a prompt stand in the text that the network is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GuidanceError
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
    chunks = _CLIP.rows(clip, prompt)
    content: list[int] = []
    start = 0
    for chunk in chunks:
        content += range(start + 1, start + len(chunk) - 1)
        start += len(chunk)
    tokens = _CLIP.tokens(chunks)
    things = _things(_CLIP, clip, tokens, subjects, prompt)
    return Places(things, tuple(place for _, place in tokens), tuple(content), start)


def find_joint(
    clip: Any, prompt: str, subjects: Sequence[Subject], length: int
) -> tuple[tuple[int, ...], ...]:
    """The rows of each subject's words in a text of SD3's: CLIP's rows, then T5's, or one alone.

    length: rows of the encoded text. Raises GuidanceError for a word that is not there.
    """
    rows = {reader: reader.rows(clip, prompt) for reader in (_CLIP, _T5)}
    lengths = {reader: sum(map(len, found)) for reader, found in rows.items()}
    if length == sum(lengths.values()):
        offsets = {_CLIP: 0, _T5: lengths[_CLIP]}
    else:
        offsets = {
            reader: 0
            for reader, found in lengths.items()
            if found == length and reader.is_there(clip)
        }
    if not offsets:
        raise GuidanceError(
            "The text of this CLIP cannot be told apart into words: connect SD3's own text "
            "encoders."
        )
    groups: list[list[int]] = [[] for _ in subjects]
    for reader, offset in offsets.items():
        things = _things(reader, clip, reader.tokens(rows[reader]), subjects, prompt)
        for group, thing in zip(groups, things, strict=True):
            group += [offset + place for place in sorted(thing.places)]
    return tuple(map(tuple, groups))


@dataclass(frozen=True)
class _Reader:
    """How an encoder's tokenizer gives a prompt. keys: what ComfyUI calls it, the first that is
    there. encoders: what ComfyUI calls its parts of SD3's text model. begins: tokens before the
    text in each row. end: the token after it."""

    keys: tuple[str, ...]
    encoders: tuple[str, ...]
    begins: int
    end: int

    def is_there(self, clip: Any) -> bool:
        """Whether this CLIP encodes with it. SD3's tokenizers are all there without encoders."""
        there = (getattr(clip.cond_stage_model, name, None) for name in self.encoders)
        return any(each is not None for each in there)

    def rows(self, clip: Any, text: str) -> list[list[Any]]:
        """Tokens, a list a chunk."""
        tokenized = clip.tokenize(text)
        found = next((tokenized[key] for key in self.keys if key in tokenized), None)
        if found is None:
            raise GuidanceError(
                "This CLIP reads prompts otherwise than this model's own does: connect the "
                "checkpoint's."
            )
        return [[token for token, *_ in row] for row in found]

    def tokens(self, rows: list[list[Any]]) -> list[tuple[Any, int]]:
        """Each token of the text and its place; those of embeddings are tensors."""
        found, start = [], 0
        for row in rows:
            ends = (at for at in range(self.begins, len(row)) if _is(row[at], self.end))
            end = next(ends, len(row))
            found += [(row[at], start + at) for at in range(self.begins, end)]
            start += len(row)
        return found


_CLIP = _Reader(("l", "g", "h"), ("clip_l", "clip_g"), 1, 49407)
_T5 = _Reader(("t5xxl",), ("t5xxl",), 0, 1)


def _is(token: Any, number: int) -> bool:
    return isinstance(token, int) and token == number


def _things(
    reader: _Reader,
    clip: Any,
    tokens: Sequence[tuple[Any, int]],
    subjects: Sequence[Subject],
    prompt: str,
) -> tuple[Thing, ...]:
    taken: set[int] = set()

    def place(word: str) -> Word:
        """The first place of this word that nothing has taken."""
        wanted = [token for token, _ in reader.tokens(reader.rows(clip, word)[:1])]
        for start in range(len(tokens) - len(wanted) + 1):
            found = tokens[start : start + len(wanted)]
            places = tuple(at for _, at in found)
            same = all(_is(token, number) for (token, _), number in zip(found, wanted, strict=True))
            if wanted and same and not taken.intersection(places):
                taken.update(places)
                return places
        raise GuidanceError(
            f'The word "{word}" is not in the prompt "{prompt.strip()}", or not so often: write '
            "words that are, as they are spelt there."
        )

    return tuple(
        Thing(place(subject.noun), tuple(place(each) for each in subject.attributes))
        for subject in subjects
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
