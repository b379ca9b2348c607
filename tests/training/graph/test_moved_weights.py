"""SoftREPATrain where ComfyUI moves weights between devices: they stay what nodes can use, and what
can be trained on again. On a CPU nothing moves, so that the weights get new data here whenever
ComfyUI loads or unloads them, as torch gives them on another device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import pytest
import torch
from comfyui_softrepa.nodes.training import given
from comfyui_softrepa.tests.fetched_weights import Fetching, cast_layers
from comfyui_softrepa.tests.server.training_apart import check_equal
from comfyui_softrepa.tests.training.graph.conftest import DEFAULTS
from comfyui_softrepa.tests.training.graph.test_running import adapter, painted

MOVES = {"load": "card", "unpatch_model": "main memory"}
"""Methods of ComfyUI's ModelPatcher that move weights, and where to."""


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch, loaded: Any) -> Iterator[list[str]]:
    """What has been moved so far, and where to; at first nothing is loaded."""
    seen: list[str] = []
    places: dict[int, str] = {}

    def moving(name: str, place: str) -> Any:
        move = getattr(comfy.model_patcher.ModelPatcher, name)

        def moved(self: Any, device_to: Any = None, *more: Any, **named: Any) -> Any:
            found = move(self, device_to, *more, **named)
            if device_to is not None and places.get(id(self.model), "main memory") != place:
                places[id(self.model)] = place
                for weight in (*self.model.parameters(), *self.model.buffers()):
                    weight.data = weight.data.clone()
                seen.append(f"{type(self.model).__name__} to {place}")
            return found

        return moved

    unloaded()
    for name, place in MOVES.items():
        monkeypatch.setattr(comfy.model_patcher.ModelPatcher, name, moving(name, place))
    yield seen
    unloaded()


def used(clip: Any, vae: Any) -> None:
    """As the nodes use them that come after."""
    with torch.inference_mode():
        clip.encode_from_tokens_scheduled(clip.tokenize("a red square"))
        vae.encode(torch.zeros(1, 32, 32, 3))
        vae.decode(torch.zeros(1, 16, 4, 4))


def unloaded() -> None:
    """As ComfyUI takes models off the device between nodes."""
    with torch.inference_mode():
        comfy.model_management.unload_all_models()


def test_what_training_has_moved_is_of_use_and_can_be_trained_again(node, place, loaded, moves):
    model, clip, vae = loaded
    before = painted(model)
    node(name="first", steps=2, preview_every=1, settings=("--cache-texts=own",))
    trained = (model.model, clip.cond_stage_model, vae.first_stage_model)
    assert {f"{type(each).__name__} to card" for each in trained} <= set(moves)
    used(clip, vae)
    assert torch.equal(painted(model), before)
    # What was moved under inference mode since, loaded or not, is trained the same again.
    for name in ("loaded", "unloaded"):
        unloaded()
        if name == "loaded":
            assert torch.equal(painted(model), before)
        node(name=name, steps=2, settings=("--cache-texts=own",))
        check_equal(adapter(place, "first"), adapter(place, name))
    unloaded()
    used(clip, vae)


def test_weights_have_one_hash_wherever_they_were_moved(loaded, place: Path, moves):
    """Where a model's files are not known, as with a LoRA, its weights are hashed."""
    known = given.weights_of("model", *loaded).identity
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            comfy.model_management.load_models_gpu([loaded[0], loaded[1].patcher])
            comfy.model_management.unload_all_models()
        assert given.weights_of("model", *loaded).identity == known
    assert moves


@pytest.mark.parametrize("more", [(), ("--checkpointing",)])
def test_copies_kept_since_a_picture_are_fetched_again_to_train_on(
    node, place, loaded, monkeypatch, more
):
    """As with dynamic VRAM, where a model is painted with before it is trained and in previews."""
    model = loaded[0]
    settings = {"steps": 2, "settings": (*DEFAULTS["settings"], *more)}
    node(name="plain", **settings)
    for each in cast_layers(model.model):
        monkeypatch.setattr(each, "comfy_cast_weights", True)
    fetched = Fetching(kept=True).take_place(monkeypatch)
    painted(model)
    before = fetched.made
    assert before and all(each._v_weight.is_inference() for each in cast_layers(model.model))
    node(name="fetched", preview_every=1, **settings)
    assert fetched.made > before
    check_equal(adapter(place, "plain"), adapter(place, "fetched"))
    for each in cast_layers(model.model):
        del each._v_weight, each._v_signature


@pytest.mark.parametrize("more", [(), ("--checkpointing",)])
def test_memory_that_is_written_over_is_not_what_the_backward_pass_reads(
    node, place, loaded, monkeypatch, more
):
    """As with dynamic VRAM, where the model does not fit the card: all layers are fetched to one
    place."""
    settings = {"steps": 2, "settings": (*DEFAULTS["settings"], *more)}
    for each in cast_layers(loaded[0].model):
        monkeypatch.setattr(each, "comfy_cast_weights", True)
        monkeypatch.setattr(each.weight, "data", each.weight.data.half())
    node(name="plain", **settings)
    Fetching(kept=False).take_place(monkeypatch)
    node(name="fetched", **settings)
    check_equal(adapter(place, "plain"), adapter(place, "fetched"))
