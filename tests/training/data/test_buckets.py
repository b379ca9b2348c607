"""Pictures of rare shapes are cropped to a neighbour before latents are cached, and said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from comfyui_softrepa.training.cache import build
from comfyui_softrepa.training.data import Framing, Pair, find, plan
from comfyui_softrepa.training.data.pairs import Pairs
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.step.batches import Batches
from comfyui_softrepa.training.step.validation import split, validation_batches
from hypothesis import given, settings
from hypothesis import strategies as st

from .stand_in import StandIn, picture

SIZES = st.tuples(st.integers(200, 4000), st.integers(200, 4000))


def pairs_of(sizes) -> list[Pair]:
    return [Pair(Path(f"{i}.png"), (f"{i}",), (), size) for i, size in enumerate(sizes)]


def framed(pairs, found) -> list[tuple[int, int]]:
    return [found.framing.crops.get(p.image) or found.framing.size(*p.size) for p in pairs]


@given(
    sizes=st.lists(SIZES, min_size=6, max_size=60),
    batch=st.integers(2, 20),
    fraction=st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(deadline=None, max_examples=60)
def test_every_picture_is_in_a_bucket_that_fills_a_batch(sizes, batch, fraction) -> None:
    pairs = pairs_of(sizes)
    training, held_out = split(len(pairs), fraction, 0)
    batch = min(batch, len(training))
    found = plan(pairs, Framing(512, buckets=True), training, held_out, batch)
    assert found == plan(pairs, Framing(512, buckets=True), training, held_out, batch)
    shapes = framed(pairs, found)
    assert min(Counter(shapes[i] for i in training).values()) >= batch
    assert min(Counter(shapes[i] for i in held_out).values(), default=2) >= 2
    known = {found.framing.size(*size) for size in sizes}
    for crop in found.crops:
        assert crop.size in known and 0.0 < crop.kept <= 1.0
    assert bool(str(found)) == bool(found.crops)


def test_a_rare_shape_goes_to_its_nearest_neighbour_and_populated_ones_stay() -> None:
    sizes = [(512, 512)] * 8 + [(600, 400)] * 8 + [(400, 600)] * 8 + [(900, 400)] * 3
    pairs = pairs_of(sizes)
    found = plan(pairs, Framing(512, buckets=True), range(27), (), 8)
    assert [crop.image.name for crop in found.crops] == ["24.png", "25.png", "26.png"]
    wide = Framing(512, buckets=True).size(600, 400)
    assert {crop.size for crop in found.crops} == {wide}
    assert found.crops[0].kept == pytest.approx(wide[0] / wide[1] / (900 / 400))
    assert "3 of 1 rare shapes (3 to 640x384)" in str(found) and "a batch share" in str(found)
    assert plan(pairs, Framing(512, buckets=True), range(27), (), 3).crops == ()
    assert plan(pairs, Framing(512), range(27), (), 8).crops == ()


def test_pairs_in_columns_are_framed_as_pairs_are() -> None:
    sizes = [(512, 512)] * 8 + [(600, 400)] * 8 + [(900, 400)] * 3
    pairs, args = pairs_of(sizes), (Framing(512, buckets=True), range(19), (), 8)
    columns = Pairs()
    columns.extend(Pairs.of(Path(), pairs[:9]))
    columns.extend(Pairs.of(Path(), pairs[9:]))
    assert columns == pairs and plan(columns, *args) == plan(pairs, *args)
    assert len(plan(columns, *args).crops) == 3


def test_a_picture_compared_with_two_shapes_is_refused() -> None:
    pairs = pairs_of([(512, 512), (600, 400), (512, 512), (512, 512)])
    framing, training, follows = Framing(512, buckets=True), range(2), {2: 0, 3: 1}
    assert plan(pairs, framing, training, (), 1, follows).crops[0].image.name == "3.png"
    pairs[3] = pairs[2]
    with pytest.raises(BadInput, match=r"2\.png is compared with pictures of different shapes"):
        plan(pairs, framing, training, (), 1, follows)


def test_cached_cropped_and_shown_every_picture(tmp_path) -> None:
    data = tmp_path / "data"
    for number in range(14):
        size = (32, 32) if number < 9 else (48, 16 + number)
        picture(data / f"{number:02}.png", number, size).with_suffix(".txt").write_text(f"{number}")
    pairs, report = find(data)
    training, held_out = split(14, 0.2, 0)
    found = plan(pairs, Framing(32, buckets=True), training, held_out, 4)
    report.write(tmp_path / "report.txt", found)
    said = (tmp_path / "report.txt").read_text()
    assert found.crops and all(f"{crop.image} (its" in said for crop in found.crops)

    cache = build(pairs, StandIn(), tmp_path / "cache", found.framing)
    shapes = {index: cache.shape(index) for index in range(14)}
    batches = Batches(cache, training, shapes, 4, 1000, 0)
    shown = [batches[step].images for step in range(60)]
    assert {image for images in shown for image in images} == set(training)
    assert {len(images) for images in shown} == {4}
    validated = {i for _, batch in validation_batches(batches, held_out) for i in batch.images}
    assert validated == set(held_out)

    # A smaller batch crops less: what was not cropped is taken from the cache as it is.
    encoder = StandIn()
    smaller = plan(pairs, Framing(32, buckets=True), training, held_out, 2)
    build(pairs, encoder, tmp_path / "cache", smaller.framing)
    was, is_ = found.framing.crops, smaller.framing.crops
    changed = [p.image for p in pairs if was.get(p.image) != is_.get(p.image)]
    assert encoder.images == len(changed) and encoder.captions == 0
