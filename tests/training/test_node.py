"""SoftREPATrain as ComfyUI calls it: under inference mode, beside other work in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sd
import folder_paths
import numpy
import pytest
import torch
from comfyui_softrepa.nodes.training import watching
from comfyui_softrepa.nodes.training.dataset import SoftREPADataset
from comfyui_softrepa.nodes.training.train import SoftREPATrain
from comfyui_softrepa.nodes.training.wording import TrainingError
from comfyui_softrepa.softrepa.hashing import content_hash
from comfyui_softrepa.tests.training.conftest import COLOURS, write_pictures
from comfyui_softrepa.training.run import command
from PIL import Image
from safetensors.torch import load_file

DEFAULTS = {
    "name": "made",
    "folder": "pictures",
    "objective": "softrepa",
    "recipe": "none",
    "steps": 6,
    "batch_size": 3,
    "learning_rate": 0.001,
    "resolution": 32,
    "seed": 0,
    "validation": 0.25,
    "settings": ("--save-every=2", "--temperature=0.3", "--normalise"),
}


@pytest.fixture
def place(
    tmp_path: Path, sd3: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A ComfyUI of its own: input/pictures, models/checkpoints/sd3.safetensors, models/softrepa."""
    (tmp_path / "input" / "pictures").mkdir(parents=True)
    (tmp_path / "softrepa").mkdir()
    # What the trainer's other tests have encoded already, where it would be written anew.
    (tmp_path / "softrepa" / f".cache-{content_hash(sd3)[:12]}").symlink_to(shared_cache)
    write_pictures(tmp_path / "input" / "pictures", COLOURS)
    known = {
        **folder_paths.folder_names_and_paths,
        "softrepa": ([str(tmp_path / "softrepa")], {".safetensors"}),
        "checkpoints": ([str(sd3.parent)], {".safetensors"}),
    }
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    yield tmp_path


@pytest.fixture
def loaded(sd3: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE as Load Checkpoint makes them."""
    with torch.inference_mode():
        return comfy.sd.load_checkpoint_guess_config(str(sd3), output_vae=True, output_clip=True)[
            :3
        ]


@pytest.fixture
def node(place: Path, loaded: tuple[Any, Any, Any]) -> Callable[..., Any]:
    """Runs the node as the server does; inputs are those above but for what is given here."""

    def run(**given: Any) -> Any:
        named = dict(zip(("model", "clip", "vae"), loaded, strict=True)) | DEFAULTS | given
        lists = {key: v if isinstance(v, list) else [v] for key, v in named.items()}
        loader = {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "sd3.safetensors"},
        }
        links = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2]}
        prompt = {"1": loader, "2": {"class_type": "SoftREPATrain", "inputs": links}}
        hidden = SimpleNamespace(prompt=prompt, unique_id="2", extra_pnginfo=None)
        prepared = type("Prepared", (SoftREPATrain,), {"hidden": hidden})
        with torch.inference_mode():
            return prepared.execute(**lists)

    return run


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
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(node, given, said):
    with pytest.raises(TrainingError, match=said) as raised:
        node(**given)
    assert "--" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_name_that_exists_is_left_alone(node, place):
    (place / "softrepa").mkdir(exist_ok=True)
    (place / "softrepa" / "made.safetensors").write_bytes(b"another's")
    with pytest.raises(TrainingError, match="is there already"):
        node()
    assert (place / "softrepa" / "made.safetensors").read_bytes() == b"another's"


def test_models_that_cannot_be_trained_as_they_are(node, loaded):
    changed = loaded[0].clone()
    changed.model_options["transformer_options"]["patches"] = {"attn1_patch": [print]}
    with pytest.raises(TrainingError, match="changed by a node"):
        node(model=changed)
    block = loaded[0].model.diffusion_model.joint_blocks[0].x_block.mlp.fc1
    block.weight = torch.nn.Parameter(block.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(TrainingError, match="compressed form"):
        node()


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
