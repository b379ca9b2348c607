"""Our own suite: 240 prompts in eight categories, written by templates from word lists.

Nothing is drawn at random: prompt n of a category takes its words by counting through the lists in
steps that share no divisor with their lengths, so that every thing comes once in each place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import PromptsError
from ..trial.manifest import Prompt
from .words import COLOURS, LONG, NUMBERS, POSITIONS, SETTINGS, STYLES, THINGS, Thing, Word

EACH = 30
"""Prompts a category."""
LANGUAGES = ("en", "ja")

Expected = tuple[Mapping[str, Any], ...]
Written = tuple[Word, Expected, Expected]


def suite(language: str = "en") -> tuple[Prompt, ...]:
    """The 240 prompts, 30 a category; equal ids and expected objects in every language.

    Raises PromptsError for a language it is not written in.
    """
    if language not in LANGUAGES:
        raise PromptsError(
            f"The suite is written in {' and '.join(LANGUAGES)}, not in {language[:20]!r}."
        )
    prompts = []
    for category, write in CATEGORIES.items():
        for n in range(EACH):
            text, expected, excluded = write(n)
            prompt_id = f"{len(prompts) + 1:04d}"
            said = getattr(text, language)
            prompts.append(Prompt(prompt_id, said, category, language, expected, excluded))
    return tuple(prompts)


def _thing(n: int) -> Thing:
    return THINGS[n % len(THINGS)]


def _colour(n: int) -> Word:
    return COLOURS[n % len(COLOURS)]


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _one(thing: Thing, colour: Word | None = None) -> Word:
    """One thing, with or without a colour, as a part of a sentence."""
    if colour is None:
        return Word(_a(thing.name), thing.ja)
    return Word(_a(f"{colour.en} {thing.name}"), f"{colour.ja}{thing.ja}")


def _some(thing: Thing, count: int) -> Word:
    number = NUMBERS[count]
    return Word(f"{number.en} {thing.plural}", f"{number.ja}{thing.counter}の{thing.ja}")


def _photo(shown: Word) -> Word:
    return Word(f"a photo of {shown.en}", f"{shown.ja}の写真")


def _and(one: Word, other: Word) -> Word:
    return Word(f"{one.en} and {other.en}", f"{one.ja}と{other.ja}")


def _seen(thing: Thing, count: int = 1, **more: Any) -> Mapping[str, Any]:
    return {"class": thing.name, "count": count, **more}


def _single(n: int) -> Written:
    thing = _thing(n)
    return _photo(_one(thing)), (_seen(thing),), ()


def _two(n: int) -> Written:
    one, other = _thing(n), _thing(7 * n + 11)
    return _photo(_and(_one(one), _one(other))), (_seen(one), _seen(other)), ()


def _number(n: int) -> Written:
    thing, count = _thing(n), 2 + n % len(NUMBERS)
    return _photo(_some(thing, count)), (_seen(thing, count),), (_seen(thing, count + 1),)


def _coloured(n: int) -> Written:
    thing, colour = _thing(n), _colour(n + n // len(COLOURS))
    return _photo(_one(thing, colour)), (_seen(thing, color=colour.en),), ()


def _position(n: int) -> Written:
    thing, beside = _thing(n), _thing(7 * n + 17)
    relation, said = POSITIONS[n % len(POSITIONS)]
    there = "いる" if thing.alive else "ある"
    text = Word(
        f"a photo of {_a(thing.name)} {said.en} {_a(beside.name)}",
        f"{beside.ja}の{said.ja}に{thing.ja}が{there}写真",
    )
    return text, (_seen(beside), _seen(thing, position=[relation, 0])), ()


def _attribution(n: int) -> Written:
    one, other = _thing(n), _thing(13 * n + 7)
    first, second = _colour(n + n // len(COLOURS)), _colour(n + n // len(COLOURS) + 3 + n % 4)
    text = _photo(_and(_one(one, first), _one(other, second)))
    return text, (_seen(one, color=first.en), _seen(other, color=second.en)), ()


def _long(n: int) -> Written:
    # Only what is no animal, so that one verb fits all of them.
    still = [thing for thing in THINGS if not thing.alive]
    first, second, third, many = (still[(n * 5 + step) % len(still)] for step in (0, 3, 8, 14))
    one, other = _colour(n), _colour(n + 4)
    count = 2 + n % 2
    template, setting = LONG[n // len(SETTINGS)], SETTINGS[n % len(SETTINGS)]
    parts = {"setting": setting, "first": _one(first, one), "second": _one(second),
             "third": _one(third, other), "many": _some(many, count)}  # fmt: skip
    text = Word(
        template.en.format(**{name: word.en for name, word in parts.items()}),
        template.ja.format(**{name: word.ja for name, word in parts.items()}),
    )
    expected = (_seen(first, color=one.en), _seen(second), _seen(third, color=other.en))
    return text, (*expected, _seen(many, count)), ()


def _style(n: int) -> Written:
    thing, style = _thing(n), STYLES[(n + n // len(STYLES)) % len(STYLES)]
    shown = _one(thing)
    return Word(style.en.format(shown.en), style.ja.format(shown.ja)), (_seen(thing),), ()


CATEGORIES: Mapping[str, Callable[[int], Written]] = {
    "single": _single,
    "two": _two,
    "number": _number,
    "colour": _coloured,
    "position": _position,
    "attribution": _attribution,
    "long": _long,
    "style": _style,
}
"""The categories in order, and what writes the n-th prompt of each."""
