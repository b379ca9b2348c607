"""What cannot be trained, in one sentence before anything long begins; and the settings' flags."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch
from comfyui_softrepa.nodes.training import settings
from comfyui_softrepa.nodes.training.train import SoftREPATrain
from comfyui_softrepa.nodes.training.wording import TrainingError
from comfyui_softrepa.training.settings.flags import parser
from PIL import Image

OTHER = torch.nn.Module()
OTHER.diffusion_model, OTHER.model_config = torch.nn.Linear(1, 1), SimpleNamespace(unet_config={})
"""A model of no architecture that adapters are known for."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folder": "nothing"}, "There is no folder nothing in ComfyUI's input: choose one, such"),
        ({"folder": "../input/pictures"}, "names no folder below ComfyUI's input"),
        ({"folder": "/etc"}, "names no folder below"),
        ({"name": "../made"}, "is no name for an adapter"),
        ({"images": [torch.zeros(2, 8, 8, 3)], "captions": ["one"]}, "2 pictures and 1 captions"),
        ({"images": [torch.zeros(2, 8, 8, 3)]}, "Connect captions too"),
        ({"batch_size": 8}, "^Batch_size 8 is larger than the set of 8 pairs, 2 of them held out"),
        ({"clip": None}, "The clip is empty"),
        ({"settings": ("--start=bos",)}, "Start bos is for U-Nets"),
        ({"folder": "empty"}, "empty holds no images"),
        ({"folder": "bare"}, "^No image in .*bare has a caption that can be read"),
        ({"images": [], "captions": []}, "There are no pictures in the connected lists"),
        ({"images": [torch.zeros(1, 8, 8, 3)], "captions": [" "]}, "^No image in .* has a caption"),
        ({"model": SimpleNamespace(model=OTHER)}, "^SoftREPA cannot act on this model"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(node, place, given, said):
    (place / "input" / "empty").mkdir()
    (place / "input" / "bare").mkdir()
    Image.new("RGB", (8, 8)).save(place / "input" / "bare" / "one.png")
    before = set((place / "softrepa").rglob("*.shard"))
    with pytest.raises(TrainingError, match=said) as raised:
        node(**given)
    assert "--" not in str(raised.value) and "\n" not in str(raised.value)
    assert set((place / "softrepa").rglob("*.shard")) == before, "nothing long has begun"


def test_too_little_room_is_told_before_anything_is_written(node, place, monkeypatch):
    (place / "softrepa").joinpath(next((place / "softrepa").glob(".cache-*")).name).unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(TrainingError, match="cache needs .* GB more, but .* has 0.0 GB free") as no:
        node()
    assert "--" not in str(no.value)
    assert not list((place / "softrepa").glob("made.s*"))


class Compressed(torch.Tensor):
    """As GGUF loaders hold weights: a tensor of a class of their own."""


def test_weights_of_a_class_of_their_own_are_refused(node, loaded, monkeypatch):
    block = loaded[0].model.diffusion_model.joint_blocks[0].x_block.mlp.fc1
    own = torch.nn.Parameter(block.weight.as_subclass(Compressed), requires_grad=False)
    monkeypatch.setitem(block._parameters, "weight", own)
    with pytest.raises(TrainingError, match=r"compressed form \(GGUF"):
        node()


def test_the_settings_have_every_flag_and_nothing_of_it_is_lost():
    inputs = {one.id: one for one in settings.SoftREPATrainSettings.define_schema().inputs}
    flags = {action.dest for action in parser()._actions}
    assert flags <= inputs.keys() | settings.INPUTS_OF_TRAIN | settings.SETTLED
    ours = {one.id for one in SoftREPATrain.define_schema().inputs}
    named = {"data": "folder", "output": "name", "val_fraction": "validation"}
    assert {named.get(flag, flag) for flag in settings.INPUTS_OF_TRAIN} <= ours
    untouched = {name: one.default for name, one in inputs.items()}
    assert settings.SoftREPATrainSettings.execute(**untouched).args[0] == ()
    changed = {"tokens": 8, "own_weight": 0.0, "gamma_negative": 0.5, "weight_decay": 1e-5}
    changed |= {"time_offsets": "no", "tensorboard": False, "micro_batch": 2, "layers": "0"}
    assert set(settings.SoftREPATrainSettings.execute(**{**untouched, **changed}).args[0]) == {
        "--tokens=8",
        "--own-weight=0.0",
        "--gamma-negative=0.5",
        "--weight-decay=1e-05",
        "--no-time-offsets",
        "--no-tensorboard",
        "--micro-batch=2",
        "--layers=0",
    }
    with pytest.raises(TrainingError, match="0 to 1|0 or more"):
        settings.SoftREPATrainSettings.execute(hard_share=2.0)


def test_a_name_that_exists_is_left_alone(node, place):
    (place / "softrepa").mkdir(exist_ok=True)
    (place / "softrepa" / "made.safetensors").write_bytes(b"another's")
    with pytest.raises(TrainingError, match="is there already"):
        node()
    assert (place / "softrepa" / "made.safetensors").read_bytes() == b"another's"


def test_models_that_cannot_be_trained_as_they_are(node, loaded, monkeypatch):
    changed = loaded[0].clone()
    changed.model_options["transformer_options"]["patches"] = {"attn1_patch": [print]}
    with pytest.raises(TrainingError, match="changed by a node"):
        node(model=changed)
    block = loaded[0].model.diffusion_model.joint_blocks[0].x_block.mlp.fc1
    whole = torch.nn.Parameter(block.weight.to(torch.int8), requires_grad=False)
    monkeypatch.setitem(block._parameters, "weight", whole)
    with pytest.raises(TrainingError, match="compressed form"):
        node()
