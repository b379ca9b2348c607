"""SoftREPATrain beside other work in one process: the command's bytes, and nothing left behind."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import comfy.ldm.modules.attention
import comfy.ldm.modules.diffusionmodules.mmdit
import comfy.model_management
import comfy.sample
import numpy
import pytest
import torch
from comfyui_softrepa.nodes.training import watching
from comfyui_softrepa.nodes.training.dataset import SoftREPADataset
from comfyui_softrepa.nodes.training.wording import TrainingError
from comfyui_softrepa.tests.training.conftest import COLOURS
from comfyui_softrepa.tests.training.graph.conftest import DEFAULTS
from comfyui_softrepa.training.run import command
from PIL import Image
from safetensors.torch import load_file


def adapter(place: Path, name: str = "made") -> dict[str, torch.Tensor]:
    return load_file(place / "softrepa" / f"{name}.safetensors")


def test_it_gives_the_bytes_of_the_command(node, place, sd3, tmp_path):
    node(preview_every=3)
    assert Image.open(place / "softrepa" / "made.previews.png").size == (3 * 256, 2 * 288 + 32)
    flags = ["--data", str(place / "input" / "pictures"), "--checkpoint", str(sd3), "--steps=6",
             "--batch-size=3", "--resolution=32", "--val-fraction=0.25", *DEFAULTS["settings"],
             "--output", str(tmp_path / "command" / "made")]  # fmt: skip
    assert command.main(flags) == 0
    ours, theirs = (
        (folder / "made.safetensors").read_bytes()
        for folder in (place / "softrepa", tmp_path / "command")
    )
    assert ours == theirs


def painted(model: Any) -> torch.Tensor:
    """What the model makes of fixed noise, as KSampler paints."""
    context = torch.linspace(-1, 1, 77 * 4096).reshape(1, 77, 4096)
    text = [[context, {"pooled_output": torch.zeros(1, 2048)}]]
    noise = torch.linspace(-1, 1, 16 * 16).reshape(1, 16, 4, 4)
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, 2, 3.0, "euler", "simple", text, text, torch.zeros_like(noise), seed=0,
            disable_pbar=True,
        )  # fmt: skip


def test_the_model_is_as_it_was(node, loaded):
    model = loaded[0]
    before = painted(model)
    node(steps=2)
    assert torch.equal(before, painted(model))
    assert not any(weight.requires_grad for weight in model.model.parameters())
    assert not any(module._forward_hooks for module in model.model.modules())
    assert not model.patches and not model.object_patches
    assert not torch.is_inference_mode_enabled()


def test_runs_leave_no_tensor_and_no_gradient_behind(node):
    """`benchmarks/training/training_in_graph.py` looks at the server's memory over twenty."""
    held = []
    for number in range(5):
        node(name=f"run_{number}", steps=1)
        gc.collect()
        # Not every object lets itself be asked for its class.
        tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
        live = sum(each.requires_grad for each in tensors)
        held.append((len(tensors), sum(each.nbytes for each in tensors), live))
        assert all(each.grad is None for each in tensors if each.is_leaf)
    assert all(now <= first for now, first in zip(held[-1], held[1], strict=True)), held


def test_attention_without_a_backward_is_replaced_in_training(node, place, monkeypatch):
    """As builds of xformers, sage and flash attention are: the loss would not reach the tokens."""
    attention = comfy.ldm.modules.attention

    def forward_only(*given: Any, **named: Any) -> torch.Tensor:
        return attention.attention_pytorch(*given, **named).detach()

    node(name="plain")
    for module in (attention, comfy.ldm.modules.diffusionmodules.mmdit):
        monkeypatch.setattr(module, "optimized_attention", attention.wrap_attn(forward_only))
    node()
    plain, made = adapter(place, "plain"), adapter(place)
    assert all(torch.equal(plain[key], made[key]) for key in plain)


def test_interrupted_it_goes_on_and_gives_the_same_bytes(node, place, monkeypatch):
    node(name="whole")
    steps = []

    def interrupt(self: Any, entry: Any) -> None:
        steps.append(entry["step"])
        if entry["step"] == 3:
            comfy.model_management.interrupt_current_processing(True)

    with monkeypatch.context() as patched:
        patched.setattr(watching.Watch, "step", interrupt)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            node()
    assert steps == [1, 2, 3]
    assert not comfy.model_management.processing_interrupted()
    with pytest.raises(TrainingError, match="with seed 0, not 1"):
        node(seed=1)
    node()
    whole, made = adapter(place, "whole"), adapter(place)
    assert whole.keys() == made.keys() and all(torch.equal(whole[k], made[k]) for k in whole)


def test_pictures_and_captions_of_other_nodes_train_as_a_folder_does(node, place):
    node(name="folder")
    folder = place / "input" / "pictures"
    images = [
        torch.from_numpy(numpy.asarray(Image.open(folder / f"{n}.png"), dtype=numpy.float32) / 255)
        for n in range(len(COLOURS))
    ]
    captions = [f"a {colour} square" for colour in COLOURS]
    node(images=[image[None] for image in images], captions=captions)
    ours, theirs = adapter(place), adapter(place, "folder")
    assert ours.keys() == theirs.keys()
    # The PNGs are written anew: other files, and so another order of the cache, of equal pictures.
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_lora_is_trained_with_and_told_apart(node, place, loaded):
    model, _, _ = loaded
    key = "diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight"
    shape = model.model.state_dict()[key].shape
    patched = model.clone()
    patched.add_patches({key: ("diff", (torch.full(shape, 0.1),))}, 1.0)
    node(name="bare")
    node(model=patched)
    bare, made = adapter(place, "bare"), adapter(place)
    assert any(not torch.equal(bare[key], made[key]) for key in bare)
    with pytest.raises(TrainingError, match="belongs to a"):
        node(name="bare", model=patched)


def test_the_dataset_is_shown_with_what_is_wrong_with_it(place):
    folder = place / "input" / "pictures"
    (folder / "0.txt").write_text("A red square!\n", encoding="utf-8")
    (folder / "7.txt").write_text("the red square\n", encoding="utf-8")
    (folder / "6.txt").unlink()
    (folder / "5.png").write_bytes(b"no picture")
    with torch.inference_mode():
        shown = SoftREPADataset.execute("pictures", first=2, count=3)
    images, captions, sheet, report = shown.args
    assert captions == ["a green square", "a blue square", "a yellow square"]
    assert [tuple(image.shape) for image in images] == [(1, 32, 32, 3)] * 3
    assert sheet.shape[0] == 1 and len(sheet.unique()) > 10
    assert "without caption: 6.png" in report and "unreadable: 5.png" in report
    assert "A red square! | the red square" in report
