"""Weights made under inference mode, as ComfyUI's nodes make them, and a backward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from comfyui_softrepa.injection.backward.inference_weights import (
    drop_kept_copies,
    replace_inference_tensors,
)


def made_under_inference_mode() -> torch.nn.Module:
    with torch.inference_mode():
        made = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
        made[1].weight = made[0].weight  # one tensor in two places
        made.register_buffer("levels", torch.arange(4.0))
    return made.requires_grad_(False)


def moved_without(made: torch.nn.Module) -> torch.nn.Module:
    """Another dtype stands for another device: torch puts new data into the same parameters."""
    moved = made.to(torch.float64)
    assert not moved[0].weight.is_inference(), "it looks as if nothing were amiss"
    return moved


def moved_within(made: torch.nn.Module) -> torch.nn.Module:
    with torch.inference_mode():
        return made.to(torch.float64)


def made_without_and_moved_within(made: torch.nn.Module) -> torch.nn.Module:
    """An earlier backward pass has replaced its weights, and ComfyUI has moved it since."""
    replace_inference_tensors(made)
    return moved_within(made)


def gradient(made: torch.nn.Module) -> torch.Tensor:
    given = torch.ones(2, 4, dtype=made.levels.dtype, requires_grad=True)
    (found,) = torch.autograd.grad((made(given) * made.levels).sum(), given)
    return found


@pytest.mark.parametrize(
    "moved",
    [lambda made: made, moved_without, moved_within, made_without_and_moved_within],
)
def test_a_backward_pass_goes_through_their_replacements(
    moved: Callable[[torch.nn.Module], torch.nn.Module],
):
    made = moved(made_under_inference_mode())
    with pytest.raises(RuntimeError, match="[Ii]nference tensors"):
        gradient(made)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    replace_inference_tensors(made)
    assert made[1].weight is made[0].weight
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    found, weight = gradient(made), made[0].weight
    assert torch.equal(found, (made.levels @ weight @ weight).expand_as(found))


def test_what_a_graph_can_keep_is_left_as_it_is():
    made = torch.nn.Linear(4, 4).requires_grad_(False)
    before = made.weight
    replace_inference_tensors(made)
    assert made.weight is before


def test_weights_that_lie_elsewhere_are_left_as_they_are():
    """They are copied at use. Newer cores have noted down what they are to be copied as on them."""
    made = made_under_inference_mode()
    before = dict(made.named_parameters())
    replace_inference_tensors(made, torch.device("meta"))
    assert all(weight is before[name] for name, weight in made.named_parameters())


@pytest.mark.parametrize("within", [True, False])
def test_copies_that_comfyui_keeps_are_made_anew_where_a_graph_cannot_keep_them(within: bool):
    """As dynamic VRAM has them: a view of a part of the device's memory, made at its first use, and
    a signature by which it is known to be there still."""
    layer = torch.nn.Linear(4, 4)
    with torch.inference_mode(within):
        layer._v_weight = torch.zeros(64, dtype=torch.uint8).view(torch.float32).view(4, 4)
    layer._v_bias, layer._v_signature = None, "as it was"
    drop_kept_copies(torch.nn.Sequential(layer))
    assert layer._v_signature == (None if within else "as it was")
