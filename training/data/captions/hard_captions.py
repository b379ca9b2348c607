"""Captions that are wrong in exactly one thing: the negatives that teach the most."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence

from . import agreement
from .words import Place, Words, join_case

Edit = tuple[int, int, str]
"""Characters from, to, and what to put there."""
_ARTICLES = ("a", "an")
EXCHANGE = "exchange"


def hard_captions(caption: str, rng: random.Random, words: Words) -> list[str]:
    """Captions that differ from this one in one thing, the kinds of change taking turns.

    A colour, number, size, material or relation becomes another one, or two things exchange theirs.
    None is the caption itself or, as far as the word list tells, equal to it in meaning. Empty
    where nothing can be changed. Equal states of `rng` give equal lists.
    """
    kinds: dict[str, list[str]] = {}
    for kind, edits in _changes(caption, words):
        kinds.setdefault(kind, []).append(_apply(caption, edits))
    meaning = words.canonical(caption)
    for found in kinds.values():
        rng.shuffle(found)
    order = list(kinds.values())
    rng.shuffle(order)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*order))
    distinct = dict.fromkeys(each for each in turns if each is not None)
    return [each for each in distinct if words.canonical(each) != meaning]


def chosen(
    captions: Sequence[str], count: int, seed: int, words: Words
) -> dict[str, tuple[str, ...]]:
    """Up to `count` hard captions for each caption, in words that these captions use themselves.

    Text encoders leave memory after caching, so the hard captions of a run are chosen once, and
    their embeddings asked for with the others: `further` of `cache.build`.
    """
    seen = words.seen_in(captions)
    return {
        caption: tuple(hard_captions(caption, random.Random(f"{seed} {caption}"), seen)[:count])
        for caption in captions
    }


def _changes(caption: str, words: Words) -> Iterator[tuple[str, list[Edit]]]:
    places = list(words.places(caption))
    for place in places:
        if place.section == "relation" and _same_sides(caption, place, words):
            continue
        if place.section == "attribute" and _is_noun(caption, place, words):
            continue
        for category, other in words.alternatives(place.phrase):
            edits = _replacement(caption, place, other, words)
            if edits is not None:
                yield category, edits
    for first, second in itertools.combinations(places, 2):
        edits = _exchange(caption, first, second, words)
        if edits is not None:
            yield EXCHANGE, edits


def _replacement(caption: str, place: Place, other: str, words: Words) -> list[Edit] | None:
    if place.section == "number":
        return _recount(caption, place, other, words)
    old = caption[place.start : place.end]
    edits = [(place.start, place.end, other)]
    before = agreement.article_before(caption, place.start, old, other)
    return edits if before is None else [before, *edits]


def _recount(caption: str, place: Place, other: str, words: Words) -> list[Edit] | None:
    """Another number, with noun and verb adapted; None where the noun's form is not known."""
    previous = agreement.last_word(caption, place.start)
    if previous is not None and previous.text.lower() in words.grammar["uncounting"]:
        return None
    one, becomes_one = words.singular(place.phrase), words.singular(other)
    if one == becomes_one:
        return None if one else [(place.start, place.end, other)]
    noun = agreement.counted_noun(caption, place.end, words)
    form = None if noun is None else _noun_form(noun.text.lower(), becomes_one, words)
    if noun is None or form is None:
        return None
    following = agreement.next_word(caption, place.end)
    if other in _ARTICLES and following is not None:
        # The noun itself may be what follows the article, in its new form.
        other = agreement.article(form if following == noun else following.text)
    edits = [(place.start, place.end, other), (noun.start, noun.end, form)]
    verb = agreement.next_word(caption, noun.end)
    pairs = words.grammar["agreement"]
    forms = {many: single for single, many in pairs.items()} if becomes_one else pairs
    if verb is not None and verb.text.lower() in forms:
        edits.append((verb.start, verb.end, forms[verb.text.lower()]))
    return edits


def _noun_form(noun: str, one: bool, words: Words) -> str | None:
    if noun in words.grammar["uncounted"]:
        return None
    if one:
        return agreement.singular(noun, words.grammar["plural"])
    return agreement.plural(noun, words.grammar["plural"])


def _exchange(caption: str, first: Place, second: Place, words: Words) -> list[Edit] | None:
    """Two things of a caption with each other's attribute or number."""
    if first.section != second.section or first.section == "relation":
        return None
    shared = set(words.categories(first.phrase)) & set(words.categories(second.phrase))
    if not shared or words.same(first.phrase, second.phrase):
        return None
    things = _thing(caption, first, words), _thing(caption, second, words)
    if not all(things) or _one_phrase(caption, first, second, words):
        return None
    if things[0] == things[1] and not _ordered(caption, first, second, words):
        return None  # "a red and a blue ball": nothing changes
    edits = [
        _replacement(caption, first, second.phrase, words),
        _replacement(caption, second, first.phrase, words),
    ]
    return None if None in edits else [*edits[0], *edits[1]]


def _thing(caption: str, place: Place, words: Words) -> str:
    """The words of the thing that a place describes, without the place itself: singular, plain.

    Empty where there is no noun, as in "the ball is red".
    """
    start, end = _phrase(caption, place, words)
    within = f"{caption[start : place.start]} {caption[place.end : end]}".lower().split()
    if not any(words.section(word) is None for word in within):
        return ""
    listed = words.grammar["plural"]
    forms = (agreement.singular(word, listed) or word for word in within)
    return " ".join(form for form in forms if form not in (*_ARTICLES, "the"))


def _phrase(caption: str, place: Place, words: Words) -> tuple[int, int]:
    """Where the words around a place begin and end: its attributes before, all up to a boundary."""
    start, end = place.start, place.end
    before = agreement.last_word(caption, start)
    while before is not None and words.section(before.text) in ("attribute", "number"):
        start = before.start
        before = agreement.last_word(caption, start)
    after = agreement.next_word(caption, end)
    while after is not None and not agreement.ends_phrase(after.text, words):
        end = after.end
        after = agreement.next_word(caption, end)
    return start, end


def _one_phrase(caption: str, first: Place, second: Place, words: Words) -> bool:
    return _phrase(caption, first, words)[1] > second.start


def _ordered(caption: str, first: Place, second: Place, words: Words) -> bool:
    """Whether what stands between two things tells the first from the second."""
    return any(
        place.section == "relation" and place.phrase not in words.grammar["symmetric"]
        for place in words.places(caption[first.end : second.start])
    )


def _same_sides(caption: str, relation: Place, words: Words) -> bool:
    """Whether both sides of a relation are worded alike, so that its converse says the same."""
    sides = caption[: relation.start], caption[relation.end :]
    left, right = (re.findall(r"[\w'\u2019-]+", words.canonical(side)) for side in sides)
    articles = ("the", *_ARTICLES)
    return [w for w in left if w not in articles] == [w for w in right if w not in articles]


def _is_noun(caption: str, place: Place, words: Words) -> bool:
    """Whether a listed attribute is a thing here: "an orange on a plate"."""
    before = agreement.last_word(caption, place.start)
    counted = before is not None and words.section(before.text) == "number"
    after = agreement.next_word(caption, place.end)
    return counted and (after is None or agreement.ends_phrase(after.text, words))


def _apply(caption: str, edits: Sequence[Edit]) -> str:
    letters = [character for character in caption if character.isalpha()]
    loud = len(letters) > 1 and all(character.isupper() for character in letters)
    for start, end, text in sorted(edits, reverse=True):
        caption = caption[:start] + join_case(caption[start:end], text, loud) + caption[end:]
    return caption
