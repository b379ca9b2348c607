"""How often images are shown, each by its weight."""

from __future__ import annotations

from collections import Counter

import pytest
from comfyui_softrepa.training.step.epochs import Epochs
from hypothesis import given, settings
from hypothesis import strategies as st

WEIGHTS = st.lists(st.sampled_from([1.0, 1.5, 2.0, 0.3]), min_size=12, max_size=30)


def shown(epochs: Epochs, steps: int) -> Counter[int]:
    return Counter(image for step in range(steps) for image in epochs[step])


@given(weights=WEIGHTS, size=st.integers(2, 3), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=20)
def test_images_are_shown_as_often_as_their_weights_say(weights, size, seed) -> None:
    images = list(range(len(weights)))
    epochs = Epochs({(4, 2, 2): images}, size, seed, dict(enumerate(weights)))
    steps = 3000
    found = shown(epochs, steps)
    whole = sum(weights)
    for image, weight in enumerate(weights):
        # What a batch cannot hold twice is less: no image here has a half of all.
        assert found[image] == pytest.approx(steps * size * weight / whole, rel=0.12)


def test_no_image_is_twice_in_a_batch_and_one_too_heavy_is_in_every_one() -> None:
    weights = {0: 100.0, **dict.fromkeys(range(1, 12), 1.0)}
    epochs = Epochs({(4, 2, 2): list(range(12))}, 4, 0, weights)
    for step in range(300):
        assert len(set(epochs[step])) == 4
    found = shown(epochs, 300)
    assert found[0] >= 298
    assert max(found[i] for i in range(1, 12)) < 2 * min(found[i] for i in range(1, 12))


def test_weights_hold_across_shapes() -> None:
    """Landscapes of a heavy folder are shown more often than portraits of a light one."""
    groups = {(4, 2, 3): list(range(10)), (4, 3, 2): list(range(10, 30))}
    weights = {image: 4.0 if image < 10 else 1.0 for image in range(30)}
    found = shown(Epochs(groups, 4, 0, weights), 1500)
    assert sum(found[i] for i in range(10)) == pytest.approx(6000 * 40 / 60, rel=0.02)


def test_equal_weights_are_no_weights_and_a_step_is_the_same_whenever_asked() -> None:
    images = {(4, 2, 2): list(range(11))}
    plain, equal = Epochs(images, 3, 5), Epochs(images, 3, 5, dict.fromkeys(range(11), 2.0))
    assert [plain[step] for step in range(20)] == [equal[step] for step in range(20)]
    weights = {image: 1.0 + image % 3 for image in range(11)}
    in_order = Epochs(images, 3, 5, weights)
    expected = [in_order[step] for step in range(60)]
    for step in (59, 3, 31, 0):
        assert Epochs(images, 3, 5, weights)[step] == expected[step]
