"""The token arithmetic and the adapter value, by hand and by property."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from comfyui_softrepa.softrepa.adapter import Adapter
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.softrepa.tokens import bucket, soft_tokens
from comfyui_softrepa.tests.adapters import random_adapter
from hypothesis import given
from hypothesis import strategies as st

steps = st.lists(st.floats(0, 1000, allow_nan=False), min_size=1, max_size=8)


@given(steps)
def test_bucket_is_the_reference_rule(values):
    timestep = torch.tensor(values, dtype=torch.float32)
    integers = [int(t) for t in timestep.tolist()]
    if any(t >= 1000 for t in integers):
        integers = [t - 1 for t in integers]
    expected = [max(t // 10, 0) for t in integers]
    assert bucket(timestep, 100).tolist() == expected


@given(steps, st.integers(1, 200))
def test_bucket_stays_in_range(values, buckets):
    found = bucket(torch.tensor(values), buckets)
    assert 0 <= int(found.min()) and int(found.max()) < buckets


def test_tokens_add_the_offset_of_their_bucket():
    adapter = random_adapter(blocks=3)
    found = soft_tokens(adapter, torch.tensor([0.0, 255.9]))
    assert found.shape == (2, 3, 4, 128)
    for sample, row in ((0, 0), (1, 25)):
        expected = adapter.tokens[0] + adapter.offsets[0, row][:, None, :]
        assert torch.equal(found[sample], expected)


def test_one_thousand_lowers_the_whole_batch():
    adapter = random_adapter()
    found = soft_tokens(adapter, torch.tensor([1000.0, 250.0]))
    assert torch.equal(found[1], soft_tokens(adapter, torch.tensor([249.0]))[0])
    assert torch.equal(found[0], soft_tokens(adapter, torch.tensor([999.0]))[0])


def test_banks_are_chosen_per_call_or_per_sample():
    adapter = random_adapter(banks=2)
    time = torch.tensor([100.0, 100.0])
    positive, negative = soft_tokens(adapter, time, 0), soft_tokens(adapter, time, 1)
    assert not torch.equal(positive, negative)
    mixed = soft_tokens(adapter, time, torch.tensor([1, 0]))
    assert torch.equal(mixed[0], negative[0]) and torch.equal(mixed[1], positive[1])


def test_tokens_without_time_are_the_same_for_all_samples():
    adapter = random_adapter(timed=False)
    assert torch.equal(soft_tokens(adapter, torch.tensor([3.0, 900.0]))[0], adapter.tokens[0])


def test_gradients_reach_tokens_and_the_used_offsets():
    adapter = random_adapter()
    live = dataclasses.replace(
        adapter,
        tokens=torch.nn.Parameter(adapter.tokens),
        offsets=torch.nn.Parameter(adapter.offsets),
    )
    soft_tokens(live, torch.tensor([500.0])).sum().backward()
    assert torch.equal(live.tokens.grad, torch.ones_like(adapter.tokens))
    used = live.offsets.grad.abs().sum(dim=(0, 2, 3)).nonzero().flatten().tolist()
    assert used == [50]


def test_an_adapter_is_a_value():
    adapter = random_adapter()
    assert copy.deepcopy(adapter) is adapter
    assert adapter.to("cpu") is adapter
    with pytest.raises(dataclasses.FrozenInstanceError):
        adapter.placement = "append"
    with pytest.raises(TypeError):
        adapter.metadata["x"] = "y"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ("0",)}, "names 1"),
        ({"placement": "after_bos"}, "cannot place"),
        ({"tokens": torch.zeros(3, 2, 4, 128)}, "shape"),
        ({"offsets": torch.zeros(1, 100, 5, 128)}, "offsets must have"),
    ],
)
def test_contradictions_are_refused(change, message):
    fields = {f.name: getattr(random_adapter(), f.name) for f in dataclasses.fields(Adapter)}
    with pytest.raises(AdapterError, match=message):
        Adapter(**{**fields, **change})
