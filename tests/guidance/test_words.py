"""Which words of a prompt are looked after, and where they stand in its text."""

from __future__ import annotations

import pytest
from comfyui_softrepa import guidance
from comfyui_softrepa.guidance.prompt.places import find
from comfyui_softrepa.guidance.prompt.words import Subject, parse_words, subjects_of, written
from comfyui_softrepa.tests.guidance import small_unet as small


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red cat and a blue dog", "red cat, blue dog"),
        ("a photo of a cat sitting on a wooden chair, soft light, 4k", "cat, wooden chair"),
        ("two (red:1.3) circles left of a blue triangle", "red circles, blue triangle"),
        ("three yellow mugs to the left of a blue teapot on a wooden table, morning light",
         "yellow mugs, blue teapot, wooden table"),
        ("the dog is red and white, and the cat is black", "red white dog, black cat"),
        ("cats and dogs", "cats, dogs"),
        ("a very bright red diamond ring, embedding:style", "bright red diamond ring"),
        ("a boy's hat in the style of an old master", "boy's hat, old master"),
        ("An Elephant wearing glasses", "Elephant"),
        ("", ""),
    ],
)  # fmt: skip
def test_things_are_recognised(prompt, expected):
    assert written(subjects_of(prompt)) == expected


def test_written_words_are_read_back():
    assert parse_words(" red cat,\nsmall blue dog ; hat,") == (
        Subject("cat", ("red",)),
        Subject("dog", ("small", "blue")),
        Subject("hat"),
    )
    with pytest.raises(guidance.GuidanceError, match="words"):
        parse_words(" , ")


def test_places_count_tokens_not_words(clip):
    prompt = "a (redbrick:1.2) teapot beside a red teapot"
    places = find(clip, prompt, parse_words("redbrick teapot, red teapot"))
    [row] = clip.tokenize(prompt)["l"]
    tokens = [token for token, *_ in row]
    brick, red = clip.tokenize("redbrick")["l"][0], clip.tokenize("red")["l"][0]
    first, second = places.things
    assert len(first.attributes[0]) > 1  # one word of several tokens
    assert [tokens[at] for at in first.attributes[0]] == [
        token for token, *_ in brick[1 : 1 + len(first.attributes[0])]
    ]
    assert tokens[second.attributes[0][0]] == red[1][0]
    assert max(first.noun) < min(second.noun)  # the second time the second one
    assert places.content == tuple(range(1, 76))
    assert places.length == 77
    assert set(places.text) == set(range(1, 1 + len(places.text)))


def test_long_prompts_are_several_chunks(clip):
    prompt = ", ".join(["in the forest of a far land"] * 14) + " a red cat and a blue dog"
    places = find(clip, prompt, parse_words("red cat, blue dog"))
    rows = clip.tokenize(prompt)["l"]
    assert places.length == 77 * len(rows) == 154
    whole = [token for row in rows for token, *_ in row]
    cat = clip.tokenize("cat")["l"][0][1][0]
    assert whole[places.things[0].noun[0]] == cat
    assert places.things[0].noun[0] > 77
    edges = {0, 76, 77, 153}
    assert set(places.content) == set(range(154)) - edges


@pytest.mark.parametrize(
    ("words", "loss", "sentence"),
    [
        ("horse", "published", '"horse" is not in the prompt'),
        ("cat, cat", "published", "not so often"),
        ("ca", "published", '"ca" is not in the prompt'),
        ("red cat", "overlap", "two or more"),
    ],
)
def test_words_that_are_of_no_use_are_refused(clip, patcher, words, loss, sentence):
    with pytest.raises(guidance.GuidanceError, match=sentence):
        guidance.plan(patcher.model, clip, small.PROMPT, words, loss=loss)


def test_a_prompt_without_things_is_refused(clip, patcher):
    with pytest.raises(guidance.GuidanceError, match="No thing was recognised"):
        guidance.plan(patcher.model, clip, "very, very")
    with pytest.raises(guidance.GuidanceError, match="what a thing is like"):
        guidance.plan(patcher.model, clip, "cat", "cat", loss="pairs")


def test_thresholds_are_read():
    assert guidance.parse_thresholds("0:0.05, 0.2:0.5\n0.4:0.8,") == (
        (0.0, 0.05),
        (0.2, 0.5),
        (0.4, 0.8),
    )
    assert guidance.parse_thresholds(" ") == ()
    for text in ("0.5", "a:b", "0.2:1.5", "-1:0.5", "1:2:3"):
        with pytest.raises(guidance.GuidanceError, match="cannot be read"):
            guidance.parse_thresholds(text)
