"""SoftREPATrain as ComfyUI calls it: under inference mode, on a model that is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.sd
import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.training.train import SoftREPATrain
from comfyui_softrepa.softrepa.hashing import content_hash
from comfyui_softrepa.tests.training.conftest import COLOURS, write_pictures

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


@pytest.fixture(scope="module")
def loaded(sd3: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE as Load Checkpoint makes them; as in a server, run after run has them."""
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
