"""SoftREPATrain as ComfyUI calls it: under inference mode, beside other work in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sd
import folder_paths
import pytest
import torch
from comfy_api.v0_0_2 import io
from comfyui_softrepa.nodes.training.train import SoftREPATrain
from comfyui_softrepa.tests.training.conftest import COLOURS, write_pictures
from comfyui_softrepa.training.run import command
from safetensors.torch import load_file

DEFAULTS = {
    "name": "made",
    "folder": "pictures",
    "objective": "softrepa",
    "steps": 6,
    "batch_size": 3,
    "learning_rate": 0.001,
    "resolution": 32,
    "seed": 0,
    "validation": 0.25,
    "settings": ("--save-every=2", "--temperature=0.3", "--normalise"),
}


@pytest.fixture
def place(tmp_path: Path, sd3: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A ComfyUI of its own: input/pictures, models/checkpoints/sd3.safetensors, models/softrepa."""
    (tmp_path / "input" / "pictures").mkdir(parents=True)
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
        hidden = {io.Hidden.prompt: prompt, io.Hidden.unique_id: "2"}
        prepared = SoftREPATrain.PREPARE_CLASS_CLONE(hidden)
        with torch.inference_mode():
            return prepared.execute(**lists)

    return run


def adapter(place: Path, name: str = "made") -> dict[str, torch.Tensor]:
    return load_file(place / "softrepa" / f"{name}.safetensors")


def test_it_gives_the_bytes_of_the_command(node, place, sd3, tmp_path):
    node()
    flags = ["--data", str(place / "input" / "pictures"), "--checkpoint", str(sd3), "--steps=6",
             "--batch-size=3", "--resolution=32", "--val-fraction=0.25", *DEFAULTS["settings"],
             "--output", str(tmp_path / "command" / "made")]  # fmt: skip
    assert command.main(flags) == 0
    ours, theirs = (
        (folder / "made.safetensors").read_bytes()
        for folder in (place / "softrepa", tmp_path / "command")
    )
    assert ours == theirs
