"""Guidance where ComfyUI fetches weights for each use, as newer cores do with dynamic VRAM: what
was fetched under inference mode, and memory that is written over once a layer has used it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfyui_softrepa.tests.fetched_weights import Fetching, cast_layers
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.tests.guidance import small_unet as small
from comfyui_softrepa.tests.guidance.test_sampling import led
from torch import Tensor

LED = {"thresholds": "0:0.5", "tries": 2, "share_of_steps": 1.0}


def halved(patcher: Any) -> Any:
    """Its weights in half precision, cast at each use."""
    for each in cast_layers(patcher.model):
        each.weight.data = each.weight.data.half()
        each.comfy_cast_weights = True
    return patcher


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch):
    return lambda kept: Fetching(kept).take_place(monkeypatch)


@pytest.fixture(scope="module")
def expected(clip) -> Tensor:
    return small.sample(led(halved(small.patcher()), clip, **LED), clip)


def test_what_a_plain_picture_has_fetched_is_fetched_again_for_a_led_one(clip, fetching, expected):
    fetched = fetching(kept=True)
    with torch.inference_mode():
        model = halved(small.patcher())
        small.sample(model, clip)
        assert fetched.made == len(cast_layers(model.model))
        assert all(each._v_weight.is_inference() for each in cast_layers(model.model))
        for _ in range(2):
            assert relative_error(small.sample(led(model, clip, **LED), clip), expected) < 1e-4
            # Once for all that follows, and not those behind the last attention that is looked at.
            assert len(cast_layers(model.model)) < fetched.made < 2 * len(cast_layers(model.model))


def test_memory_that_is_written_over_is_not_what_the_backward_pass_reads(clip, fetching, expected):
    fetching(kept=False)
    found = small.sample(led(halved(small.patcher()), clip, **LED), clip)
    assert relative_error(found, expected) < 1e-4
