"""The `layers` text."""

from __future__ import annotations

import pytest
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.softrepa.layers import choose_layers, parse_layers
from hypothesis import given
from hypothesis import strategies as st

MMDIT = [str(index) for index in range(5)]
UNET = ["input.1", "input.2", "input.4", "middle.0", "output.3", "output.4", "output.5"]


@pytest.mark.parametrize(
    ("text", "blocks", "expected"),
    [
        ("0-2,4", MMDIT, {"0": 1.0, "1": 1.0, "2": 1.0, "4": 1.0}),
        ("0-1:1.0,2-4:0.5", MMDIT, {"0": 1, "1": 1, "2": 0.5, "3": 0.5, "4": 0.5}),
        (" 4 , 0 : -.5 ", MMDIT, {"0": -0.5, "4": 1.0}),
        ("0-4,2:0", MMDIT, {"0": 1, "1": 1, "2": 0, "3": 1, "4": 1}),
        ("input", UNET, {"input.1": 1, "input.2": 1, "input.4": 1}),
        ("input.4, Middle:2", UNET, {"input.4": 1, "middle.0": 2}),
        ("output.3-4:1e-1", UNET, {"output.3": 0.1, "output.4": 0.1}),
        ("", MMDIT, {}),
        (" , ", MMDIT, {}),
    ],
)
def test_choices(text, blocks, expected):
    assert choose_layers(parse_layers(text), blocks) == expected


@pytest.mark.parametrize(
    "text", ["x", "1-", "-1", "0..2", "input4", "input.", "0:", "0:high", "0;1", "0:inf", "0:nan"]
)
def test_what_is_no_choice_is_refused_with_an_example(text):
    with pytest.raises(AdapterError, match=r'is not a choice of layers: .*"0-2,4"'):
        parse_layers(text)


def test_a_backward_range_is_refused():
    with pytest.raises(AdapterError, match="runs backwards"):
        parse_layers("4-2")


@pytest.mark.parametrize(("text", "blocks"), [("5", MMDIT), ("3-6", MMDIT), ("input", MMDIT),
                                              ("0", UNET), ("input.9", UNET)])  # fmt: skip
def test_blocks_that_are_not_there_are_refused(text, blocks):
    with pytest.raises(AdapterError, match="choose among"):
        choose_layers(parse_layers(text), blocks)


@given(st.text())
def test_any_text_is_parsed_or_refused_in_one_sentence(text):
    try:
        parse_layers(text)
    except AdapterError as error:
        assert str(error).endswith(".")
