"""SoftREPABlend: sums and concatenations do to a model what their parts do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfyui_softrepa.nodes.adapters.blend import SoftREPABlend
from comfyui_softrepa.softrepa.blend import concatenate, weighted_sum
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error


def other_than(adapter, **changes):
    tokens = torch.randn(adapter.tokens.shape, generator=torch.Generator().manual_seed(5))
    return dataclasses.replace(adapter, tokens=tokens, **changes)


def test_a_weighted_sum_is_that_of_the_numbers():
    first, second = random_adapter(seed=1, banks=2), random_adapter(seed=2, banks=2)
    blended = SoftREPABlend.execute(first, second, "weighted sum", 0.25, 2.0).args[0]
    assert torch.equal(blended.tokens, 0.25 * first.tokens + 2.0 * second.tokens)
    assert torch.equal(blended.offsets, 0.25 * first.offsets + 2.0 * second.offsets)
    assert (blended.layers, blended.placement) == (first.layers, first.placement)


def test_a_sum_with_weights_one_and_zero_is_the_first():
    first, second = random_adapter(seed=1), random_adapter(seed=2)
    blended = weighted_sum(first, second, (1.0, 0.0))
    assert torch.equal(blended.tokens, first.tokens)
    assert torch.equal(blended.offsets, first.offsets)


def test_missing_offsets_count_as_zero():
    timed, still = random_adapter(seed=1), random_adapter(seed=2, timed=False)
    assert torch.equal(weighted_sum(timed, still, (0.5, 1.0)).offsets, 0.5 * timed.offsets)
    assert torch.equal(weighted_sum(still, timed, (0.5, 1.0)).offsets, timed.offsets)
    assert weighted_sum(still, still, (0.5, 0.5)).offsets is None


def test_offsets_of_each_bank_add_to_shared_ones():
    shared = random_adapter(seed=1, banks=2)
    own = dataclasses.replace(shared, offsets=torch.cat((shared.offsets, 2 * shared.offsets)))
    blended = weighted_sum(shared, own, (1.0, 1.0))
    assert torch.equal(blended.offsets[1], 3 * shared.offsets[0])


def test_concatenation_equals_applying_one_after_the_other(art):
    first = dataclasses.replace(art.adapter, offsets=None)
    second = other_than(first)
    both = SoftREPABlend.execute(first, second, "concatenate", 0.5, 0.5).args[0]
    assert both.tokens_per_block == 2 * first.tokens_per_block
    at_once = art.sample(art.on_model(adapter=both)).cond
    in_turn = art.sample(art.on_model(art.on_model(adapter=first), adapter=second)).cond
    assert relative_error(at_once, in_turn) < 1e-5
    assert differs(at_once, art.sample(art.on_model(adapter=first)).cond)


def test_concatenation_keeps_offsets_that_both_share(sd3):
    both = concatenate(sd3.adapter, other_than(sd3.adapter))
    assert torch.equal(both.offsets, sd3.adapter.offsets)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (random_adapter("unet", 768, 1), "for MMDiT of width 128 and the second for SD1.x"),
        (random_adapter(width=192), "trained for the same model"),
        (random_adapter(blocks=3), "blocks 0, 1 and the second 0, 1, 2"),
        (random_adapter(banks=2), "negative bank"),
        (
            dataclasses.replace(random_adapter(), placement="append"),
            "prepend and the second append",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(second, message):
    for blend in (lambda *pair: weighted_sum(*pair, (0.5, 0.5)), concatenate):
        with pytest.raises(AdapterError, match=message) as refused:
            blend(random_adapter(), second)
        assert str(refused.value).endswith(".")


def test_sums_of_unequal_size_are_refused():
    with pytest.raises(AdapterError, match=r"4 a block and the second 6.*concatenate them"):
        weighted_sum(random_adapter(), random_adapter(tokens=6), (0.5, 0.5))
    fewer = dataclasses.replace(random_adapter(), offsets=random_adapter().offsets[:, :14])
    with pytest.raises(AdapterError, match="100 timestep buckets of width 128 and the second 14"):
        weighted_sum(random_adapter(), fewer, (0.5, 0.5))


def test_concatenation_of_different_offsets_is_refused():
    for second in (random_adapter(seed=2), random_adapter(timed=False)):
        with pytest.raises(AdapterError, match="apply them one after the other"):
            concatenate(random_adapter(), second)
