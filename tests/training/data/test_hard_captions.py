"""Hard captions differ in one thing, never in none."""

from __future__ import annotations

import random
import re
import sys

import pytest
from comfyui_softrepa.training.data.captions import agreement
from comfyui_softrepa.training.data.captions.hard_captions import chosen, hard_captions
from comfyui_softrepa.training.data.captions.words import read_words
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = read_words()


def _made(caption: str, seed: int = 0) -> set[str]:
    return set(hard_captions(caption, random.Random(seed), WORDS))


@pytest.mark.parametrize(
    ("caption", "made"),
    [
        ("a red circle left of a blue square", "a blue circle left of a red square"),
        ("a red circle left of a blue square", "a red circle right of a blue square"),
        ("a red circle left of a blue square", "two red circles left of a blue square"),
        ("two red circles left of a blue square", "a red circle left of two blue squares"),
        ("one cat", "two cats"),
        ("two cats", "a cat"),
        ("two apples", "an apple"),
        ("Two dogs are near a tree.", "A dog is near a tree."),
        ("A child is in front of three houses", "Two children are in front of three houses"),
        ("3 buses on a bridge", "1 bus on a bridge"),
        ("two babies on a bed", "a baby on a bed"),
        ("three skies", "a sky"),
        ("two octopuses", "an octopus"),
        ("two wives", "a wife"),
        ("a quiz", "two quizzes"),
        ("a volcano", "three volcanoes"),
        ("two unicorns", "a unicorn"),
        ("two hourglasses", "an hourglass"),
        ("an orange cat", "a red cat"),
        ("a red cat", "an orange cat"),
        ("A SMALL BOX", "A BIG BOX"),
        ("Red paint on a wall", "Blue paint on a wall"),
        ("a ball to the left of a box", "a ball to the right of a box"),
        ("a wooden spoon behind a glass bowl", "a glass spoon behind a wooden bowl"),
        ("a wooden spoon behind a glass bowl", "a wooden spoon in front of a glass bowl"),
    ],
)
def test_examples(caption, made):
    assert made in _made(caption)


@pytest.mark.parametrize(
    ("caption", "never"),
    [
        ("a big dog", "a large dog"),
        ("red and blue ball", "blue and red ball"),
        ("a red ball and a blue ball", "a blue ball and a red ball"),
        ("a red ball next to a blue ball", "a blue ball next to a red ball"),
        ("a red ball left of a red ball", "a red ball right of a red ball"),
        ("a red ball and two red balls", "two red balls and a red ball"),
        ("a fluffy dog", "two fluffies dog"),
        ("a photo of a cat", "two photos of a cat"),
        ("an orange on a plate", "a red on a plate"),
        ("two jeans on a chair", "a jean on a chair"),
        ("bored redhead", "boblue redhead"),
        ("a ball to the left of a box", "a ball to the above a box"),
    ],
)
def test_what_must_not_come_out(caption, never):
    assert never not in _made(caption)


def test_without_the_package_for_plurals_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "inflect", None)
    agreement._english.cache_clear()
    with pytest.raises(BadInput, match=r"inflect.*requirements\.txt"):
        hard_captions("two yaks", random.Random(0), WORDS)
    monkeypatch.undo()
    assert "a yak" in _made("two yaks")


def test_an_exchange_of_equal_things_counts_where_the_relation_orders_them():
    made = _made("a red ball left of a blue ball")
    assert "a blue ball left of a red ball" in made


@pytest.mark.parametrize("caption", ["", "mountains at dawn", "portrait, 35mm", "(((", "the end"])
def test_nothing_to_change_gives_nothing(caption):
    assert _made(caption) == set()


_THING = st.tuples(
    st.sampled_from(["a", "two", "three"]),
    st.sampled_from(["red", "green", "blue", "yellow"]),
    st.sampled_from(["circle", "square", "triangle"]),
)


def _phrase(thing: tuple[str, str, str]) -> str:
    number, colour, shape = thing
    return f"{number} {colour} {shape}{'' if number == 'a' else 's'}"


_RELATION = st.sampled_from(["left of", "right of", "above", "below"])


@given(_THING, _RELATION, _THING, st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_scenes_differ_in_one_fact_or_an_exchange(first, relation, second, seed):
    caption = f"{_phrase(first)} {relation} {_phrase(second)}"
    for made in hard_captions(caption, random.Random(seed), WORDS):
        facts = (*first[:2], first[2], relation, *second[:2], second[2])
        new = _facts(made)
        changed = [index for index in range(7) if facts[index] != new[index]]
        exchanged = [(0, 4), (1, 5)]
        if len(changed) == 2:
            one, other = changed
            assert (one, other) in exchanged
            assert (new[one], new[other]) == (facts[other], facts[one])
        else:
            assert len(changed) == 1


def _facts(caption: str) -> tuple[str, ...]:
    """The scene again; fails where noun and number disagree."""
    pattern = (
        r"(\w+) (\w+) (circle|square|triangle)(s?) (left of|right of|above|below) "
        r"(\w+) (\w+) (circle|square|triangle)(s?)"
    )
    match = re.fullmatch(pattern, caption)
    assert match, caption
    n1, c1, s1, p1, relation, n2, c2, s2, p2 = match.groups()
    n1, n2 = ("a" if n in ("a", "an") else n for n in (n1, n2))
    assert (p1 == "") == (n1 == "a") and (p2 == "") == (n2 == "a"), caption
    return n1, c1, s1, relation, n2, c2, s2


_LISTED = sorted({form for group in WORDS.groups for entry in group.entries for form in entry})
_TEXT = st.lists(
    st.one_of(
        st.sampled_from(_LISTED), st.sampled_from(["cat", "dogs", "and", "the", ","]), st.text()
    ),
    max_size=8,
).map(" ".join)


@given(_TEXT, st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_any_text(caption, seed):
    made = hard_captions(caption, random.Random(seed), WORDS)
    assert caption not in made
    assert len(made) == len(set(made))
    assert made == hard_captions(caption, random.Random(seed), WORDS)
    assert all(WORDS.canonical(each) != WORDS.canonical(caption) for each in made)


def test_the_first_few_are_of_different_kinds():
    few = hard_captions("a red ball left of a blue box", random.Random(3), WORDS)[:4]
    changes = {
        "colour": any(re.fullmatch(r"an? (?!red)\w+ ball left of a blue box", c) for c in few)
        or any(re.fullmatch(r"a red ball left of an? (?!blue)\w+ box", c) for c in few),
        "number": any("balls" in c or "boxes" in c for c in few),
        "place": any("left of" not in c for c in few),
        "exchange": "a blue ball left of a red box" in few,
    }
    assert all(changes.values()), (few, changes)


def test_a_users_own_file_adds_words(tmp_path):
    own = tmp_path / "de.toml"
    own.write_text('[attribute]\nfarbe = [["rot|rote", "blau|blaue"]]\n', encoding="utf-8")
    words = read_words(own)
    assert "eine blaue Kugel" in hard_captions("eine rote Kugel", random.Random(0), words)
    japanese = tmp_path / "ja.toml"
    japanese.write_text('[attribute]\n"色" = [["赤い", "青い"]]\n', encoding="utf-8")
    assert hard_captions("机の上の赤い花", random.Random(0), read_words(japanese)) == [
        "机の上の青い花"
    ]


@pytest.mark.parametrize(
    "text", ["[attribute", "[colours]\na = 1", "[attribute]\na = [['b']]", "[attribute]\na = 3"]
)
def test_a_word_list_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"own\.toml"):
        read_words(path)


def test_chosen_speaks_the_captions_own_words():
    captions = ["a red ball left of a blue box", "two blue boxes above a red ball"]
    made = chosen(captions, 100, 7, WORDS)
    assert made == chosen(captions, 100, 7, WORDS)
    words = set(" ".join(each for few in made.values() for each in few).split())
    assert words == {
        "a",
        "two",
        "red",
        "blue",
        "ball",
        "balls",
        "box",
        "boxes",
        "left",
        "of",
        "above",
    }
    assert all(len(few) == 3 for few in chosen(captions, 3, 7, WORDS).values())
