"""Captions as they are drawn: other orders of their tags, and none at all."""

from __future__ import annotations

import random

import pytest
from comfyui_softrepa.tests.training.test_batches import batches
from comfyui_softrepa.training.data.captions.variants import NONE, Variants

TAGS = "miku, blue hair, smile, hat, night"


def test_orders_are_the_caption_and_others_of_the_same_tags_with_the_first_ones_kept() -> None:
    found = Variants(orders=5, keep=2).of(TAGS)
    assert found[0] == TAGS and len(set(found)) == 5
    for order in found:
        tags = order.split(", ")
        assert tags[:2] == ["miku", "blue hair"] and sorted(tags) == sorted(TAGS.split(", "))
    assert Variants(orders=5, keep=2).of(TAGS) == found
    assert Variants(orders=5, keep=2, seed=1).of(TAGS) != found


@pytest.mark.parametrize(("caption", "count"), [("a red square", 1), ("a, b", 2), ("a, b, c", 6)])
def test_a_caption_has_no_more_orders_than_its_tags_allow(caption: str, count: int) -> None:
    assert len(Variants(orders=20).of(caption)) == count


def test_captions_of_the_same_tags_get_the_same_order() -> None:
    variants = Variants(orders=6)
    for seed in range(20):
        one, other, third = variants.drawn(["a, b, c", "c,a,b", "d, e"], random.Random(seed))
        assert one == other and set(third) == set("d, e")


def test_every_order_is_drawn_and_negatives_are_never_the_own_tags() -> None:
    captions = [("a, b, c",), ("c, b, a",), ("d, e, f",), ("plain",)]
    variants = Variants(orders=6)
    made = batches(captions, variants=variants)
    seen = set()
    for step in range(60):
        batch = made[step]
        for image, row in zip(batch.images, batch.candidates, strict=True):
            texts = [batch.captions[at] for at in row]
            seen.add(texts[0])
            tags = [sorted(text.split(", ")) for text in texts]
            assert tags[0] == sorted(captions[image][0].split(", ")) and tags[0] not in tags[1:]
            assert len(texts) == 3
    assert {text for text in seen if "d" in text} == set(variants.of("d, e, f"))


def test_hard_captions_are_made_from_the_order_that_is_shown() -> None:
    made = batches(
        [(f"{i}, x, y",) for i in range(4)],
        variants=Variants(orders=6),
        hard_share=0.5,
        hard_captions=lambda caption, rng: [f"not {caption}"],
    )
    for step in range(10):
        for row in made[step].candidates:
            own, hard, *_ = (made[step].captions[at] for at in row)
            assert hard == f"not {own}"


def test_a_dropped_caption_is_nobodys_negative_and_its_own_stays_one() -> None:
    captions = [(f"caption {i}",) for i in range(4)]
    made, plain = batches(captions, variants=Variants(dropout=0.3)), batches(captions)
    dropped = rows = 0
    for step in range(500):
        batch, other = made[step], plain[step]
        assert batch.images == other.images and batch.timestep == other.timestep
        for row, as_before in zip(batch.candidates, other.candidates, strict=True):
            texts = [batch.captions[at] for at in row]
            before = [other.captions[at] for at in as_before]
            assert texts[1:] == before[1:] and NONE not in texts[1:]
            assert texts[0] in (NONE, before[0])
            dropped, rows = dropped + (texts[0] == NONE), rows + 1
    assert dropped / rows == pytest.approx(0.3, abs=0.04)


def test_held_out_captions_are_what_they_are() -> None:
    made = batches([("a, b, c",), ("d, e, f",)], size=2, variants=Variants(dropout=1.0, orders=6))
    assert set(made.compose([0, 1], 500, ("validation", 0)).captions) == {"a, b, c", "d, e, f"}


def test_all_that_can_be_drawn_is_embedded() -> None:
    variants = Variants(dropout=0.1, orders=3)
    captions = ["a, b, c", "d, e", "plain"]
    texts = {*captions, *variants.further(captions)}
    made = batches([(caption,) for caption in captions], size=3, variants=variants)
    assert {text for step in range(200) for text in made[step].captions} == texts
