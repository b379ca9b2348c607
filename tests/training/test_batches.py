"""What each step's batch is made of."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.settings.randomness import python_random, torch_generator
from comfyui_softrepa.training.step.batches import Batches, negatives
from comfyui_softrepa.training.step.validation import split, validation_batches
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=8)


class Captions:
    """A cache of captions alone."""

    def __init__(self, captions: list[tuple[str, ...]], wrong: tuple[str, ...] = ()) -> None:
        self._captions, self._wrong = captions, wrong

    def __len__(self) -> int:
        return len(self._captions)

    def captions(self, index: int) -> tuple[str, ...]:
        return self._captions[index]

    def negatives(self, index: int) -> tuple[str, ...]:
        return self._wrong


def batches(captions, size=4, shapes=None, seed=0, **more) -> Batches:
    count = len(captions)
    return Batches(
        cache=Captions(captions, more.pop("wrong", ())),
        images=tuple(range(count)),
        shapes=shapes or dict.fromkeys(range(count), (4, 2, 2)),
        size=size,
        timesteps=1000,
        seed=seed,
        **more,
    )


@given(own=st.sampled_from("abc"), others=WORDS, hard=WORDS, share=st.floats(0.0, 1.0))
@settings(deadline=None)
def test_negatives_are_distinct_others(own, others, hard, share) -> None:
    found = negatives(own, others, hard, share)
    assert own not in found and len(set(found)) == len(found) <= len(others)
    assert set(found) <= {*others, *hard}
    assert sum(name not in others for name in found) <= round(share * len(others))


def test_half_of_the_negatives_are_hard() -> None:
    found = negatives("own", ["a", "b", "c", "d"], ["h1", "h2", "h3"], 0.5)
    assert found == ["h1", "h2", "a", "b"]
    assert negatives("own", ["a", "b"], [], 1.0) == ["a", "b"]


def test_equal_captions_are_never_each_others_negatives() -> None:
    made = batches([("same",), ("same",), ("same",), ("other",)])
    batch = made[0]
    for row in batch.candidates:
        assert len(row) == 2
        assert {batch.captions[index] for index in row} == {"same", "other"}
    assert batch.negatives == 4


def test_an_epoch_shows_every_image_once_and_the_next_another_order() -> None:
    made = batches([(f"caption {i}",) for i in range(12)])
    epochs = [[made[step].images for step in range(at, at + 3)] for at in (0, 3)]
    for epoch in epochs:
        assert Counter(image for images in epoch for image in images) == Counter(range(12))
    assert epochs[0] != epochs[1]


def test_every_caption_of_an_image_is_drawn() -> None:
    made = batches([(f"{i} first", f"{i} second") for i in range(4)])
    drawn = {made[step].captions[row[0]] for step in range(12) for row in made[step].candidates}
    assert len(drawn) == 8


def test_a_step_is_the_same_whenever_asked_and_another_with_another_seed() -> None:
    captions = [(f"{i}",) for i in range(20)]
    first, again, other = batches(captions)[7], batches(captions)[7], batches(captions, seed=1)[7]
    assert (first.images, first.timestep) == (again.images, again.timestep)
    assert torch.equal(first.noise, again.noise) and not torch.equal(first.noise, other.noise)
    assert first.noise.shape == (1, 4, 2, 2)


def test_images_of_a_batch_share_a_shape() -> None:
    shapes = {i: (4, 2, 2) if i % 3 else (4, 2, 3) for i in range(12)}
    made = batches([(f"{i}",) for i in range(12)], shapes=shapes, size=4)
    for step in range(6):
        assert len({shapes[image] for image in made[step].images}) == 1


SIZES = st.lists(st.integers(2, 15), min_size=1, max_size=3)


@given(groups=SIZES, size=st.integers(2, 6), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_images_of_every_shape_are_shown_equally_often(groups, size, seed) -> None:
    size = min(size, sum(groups))
    of = [shape for shape, count in enumerate(groups) for _ in range(count)]
    made = batches(
        [(f"{i}",) for i in range(len(of))],
        size=size,
        shapes={image: (4, 2, 2 + shape) for image, shape in enumerate(of)},
        seed=seed,
    )
    epochs = size  # by then the parts of batches have come to whole ones
    steps = sum(epochs * count // min(size, count) for count in groups)
    shown: Counter[int] = Counter()
    for step in range(steps):
        images = made[step].images
        assert len(set(images)) == len(images) == min(size, groups[of[images[0]]])
        assert len({of[image] for image in images}) == 1
        shown.update(images)
    assert set(shown) == set(range(len(of)))
    for shape, count in enumerate(groups):
        mean = sum(shown[image] for image in range(len(of)) if of[image] == shape) / count
        assert mean == epochs


def test_a_step_asked_for_out_of_order_is_the_same_across_uneven_epochs() -> None:
    shapes = {i: (4, 2, 2) if i < 7 else (4, 2, 3) for i in range(10)}
    captions = [(f"{i}",) for i in range(10)]
    whole = batches(captions, shapes=shapes)
    in_order = [whole[step].images for step in range(40)]
    for step in (39, 0, 17, 5, 38):
        assert batches(captions, shapes=shapes)[step].images == in_order[step]


def test_an_image_alone_in_its_shape_is_named() -> None:
    shapes = {i: (4, 2, 2) if i < 7 else (4, 2, 9) for i in range(8)}
    with pytest.raises(BadInput, match=r"1 of 8 .*\(4, 2, 9\)"):
        batches([(f"{i}",) for i in range(8)], shapes=shapes)


def test_fewer_images_than_a_batch() -> None:
    with pytest.raises(BadInput, match="batch of 3 .* set of 2 pairs: lower --batch-size"):
        batches([("a",), ("b",)], size=3)


def test_hard_captions_come_from_the_images_own_caption_and_file() -> None:
    made = batches(
        [(f"{i}",) for i in range(4)],
        hard_share=1.0,
        hard_captions=lambda caption, rng: [f"not {caption}", f"never {caption}"],
        wrong=("written",),
    )
    batch = made[0]
    for row in batch.candidates:
        own, *others = (batch.captions[index] for index in row)
        assert others == ["written", f"not {own}", f"never {own}"]


def with_hard(**more) -> Batches:
    return batches(
        [(f"{i}",) for i in range(4)],
        hard_share=0.5,
        hard_captions=lambda caption, rng: rng.sample([f"{caption} h{k}" for k in range(6)], 6),
        **more,
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_negatives_as_asked_for_drawn_evenly_and_anew(count: int) -> None:
    made = with_hard(negatives=count)
    of_row: Counter[str] = Counter()
    rows = 0
    for step in range(600):
        batch = made[step]
        assert batch.negatives == 4 * count
        for row in batch.candidates:
            own, *others = (batch.captions[index] for index in row)
            assert own not in others and len(set(others)) == count
            of_row.update("hard" if name.startswith(f"{own} h") else "batch" for name in others)
            rows += 1
    # Without --negatives a row has two hard ones (half of three, rounded) and one of the batch.
    assert of_row["hard"] / (of_row["hard"] + of_row["batch"]) == pytest.approx(2 / 3, abs=0.03)
    assert with_hard(negatives=count)[7].candidates == made[7].candidates


def test_every_negative_is_replayed_equally_often() -> None:
    made = batches([(f"{i}",) for i in range(4)], replay=2)
    drawn: Counter[int] = Counter()
    for step in range(600):
        for row in made[step].replayed:
            assert len(set(row)) == 2 and min(row) > 0
            drawn.update(row)
    assert all(count == pytest.approx(600 * 4 * 2 / 3, rel=0.06) for count in drawn.values())
    assert sorted(drawn) == [1, 2, 3]
    few = batches([(f"{i}",) for i in range(4)], replay=9)[0]
    assert few.replayed == ((1, 2, 3),) * 4
    assert (
        made[7].replayed == made[7].replayed
        and batches([("a",), ("b",)], size=2)[0].replayed is None
    )


def test_all_negatives_is_what_no_number_means() -> None:
    assert with_hard(negatives=3)[5].captions == with_hard()[5].captions


def test_more_negatives_than_the_batch_has_are_hard_ones() -> None:
    batch = with_hard(negatives=7)[0]
    for row in batch.candidates:
        own, *others = (batch.captions[index] for index in row)
        assert len(set(others)) == 7
        assert sum(name.startswith(f"{own} h") for name in others) == 4
    assert with_hard(negatives=99)[0].negatives == 4 * (3 + 6)
    without = batches([(f"{i}",) for i in range(4)], negatives=7)[0]
    assert without.negatives == 4 * 3


def test_timesteps_are_uniform() -> None:
    made = batches([(f"{i}",) for i in range(4)])
    drawn = [made[step].timestep for step in range(2000)]
    assert min(drawn) < 10 and max(drawn) > 990
    assert abs(sum(drawn) / len(drawn) - 499.5) < 30


def test_split_is_seeded_disjoint_and_whole() -> None:
    training, held_out = split(20, 0.25, seed=3)
    assert len(held_out) == 5 and sorted((*training, *held_out)) == list(range(20))
    assert split(20, 0.25, 3) == (training, held_out) != split(20, 0.25, 4)
    assert split(20, 0.0, 3) == (tuple(range(20)), ())
    assert len(split(20, 0.01, 3)[1]) == 2


def test_validation_covers_every_range_with_the_same_draws() -> None:
    made = batches([(f"{i}",) for i in range(12)])
    found = validation_batches(made, (0, 3, 5, 7, 9))
    again = validation_batches(made, (0, 3, 5, 7, 9))
    assert [name for name, _ in found] == ["0-199", "200-399", "400-599", "600-799", "800-999"]
    for (name, batch), (_, same) in zip(found, again, strict=True):
        low, high = map(int, name.split("-"))
        assert low <= batch.timestep <= high
        assert batch.timestep == same.timestep and torch.equal(batch.noise, same.noise)
        assert set(batch.images) <= {0, 3, 5, 7, 9}


def test_validation_shows_every_held_out_image_of_every_shape() -> None:
    shapes = {i: (4, 2, 2) if i < 9 else (4, 2, 3) for i in range(12)}
    made = batches([(f"{i}",) for i in range(12)], shapes=shapes)
    found = [batch for name, batch in validation_batches(made, tuple(range(12))) if name == "0-199"]
    # Nine of one shape by four: the ninth joins the last batch. The shapes take turns.
    assert [batch.images for batch in found] == [(0, 1, 2, 3), (9, 10, 11), (4, 5, 6, 7, 8)]


def test_draws_depend_on_seed_and_purpose_alone() -> None:
    random.seed(1), torch.manual_seed(1)
    first = python_random(0, "a", 1).random(), torch.rand(3, generator=torch_generator(0, "a"))
    random.seed(2), torch.manual_seed(2)
    second = python_random(0, "a", 1).random(), torch.rand(3, generator=torch_generator(0, "a"))
    assert first[0] == second[0] and torch.equal(first[1], second[1])
    assert python_random(0, "a", 2).random() != first[0]
