"""SoftREPATrain on a newer model, of Load Diffusion Model, DualCLIPLoader and Load VAE."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.training.train import SoftREPATrain
from comfyui_softrepa.tests.training.conftest import COLOURS, write_pictures
from comfyui_softrepa.tests.training.graph import small_flux
from comfyui_softrepa.tests.training.graph.conftest import DEFAULTS
from comfyui_softrepa.training.run import command
from comfyui_softrepa.training.run.output.log import read_log
from safetensors.torch import load_file

import nodes

LOADERS = {
    "1": ("UNETLoader", {"unet_name": "flux.safetensors", "weight_dtype": "default"}),
    "2": (
        "DualCLIPLoader",
        {"clip_name1": "clip_l.safetensors", "clip_name2": "t5xxl.safetensors", "type": "flux"},
    ),
    "3": ("VAELoader", {"vae_name": "ae.safetensors"}),
}
LINKS = {"model": ["1", 0], "clip": ["2", 0], "vae": ["3", 0]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ComfyUI of its own with a small Flux."""
    models = small_flux.write(tmp_path / "models")
    (tmp_path / "input" / "pictures").mkdir(parents=True)
    write_pictures(tmp_path / "input" / "pictures", COLOURS[:4])
    known = dict(folder_paths.folder_names_and_paths)
    for name in ("diffusion_models", "text_encoders", "vae", "softrepa"):
        known[name] = ([str(models / name)], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    small_flux.tell_sizes(monkeypatch)
    return tmp_path


def test_flux_of_files_apart_gives_the_bytes_of_the_command(place):
    settings = ("--normalise", "--checkpointing", "--no-tensorboard", "--save-every=1")
    given = {**DEFAULTS, "steps": 2, "batch_size": 2, "validation": 0.0, "settings": settings}
    prompt = {key: {"class_type": kind, "inputs": told} for key, (kind, told) in LOADERS.items()}
    prompt["4"] = {"class_type": "SoftREPATrain", "inputs": LINKS}
    hidden = SimpleNamespace(prompt=prompt, unique_id="4", extra_pnginfo=None)
    prepared = type("Prepared", (SoftREPATrain,), {"hidden": hidden})
    with torch.inference_mode():
        known = nodes.NODE_CLASS_MAPPINGS
        loaders = [(known[kind](), told) for kind, told in LOADERS.values()]
        loaded = [getattr(each, each.FUNCTION)(**told)[0] for each, told in loaders]
        named = dict(zip(LINKS, loaded, strict=True)) | given
        prepared.execute(
            **{key: value if isinstance(value, list) else [value] for key, value in named.items()}
        )
    models, output = place / "models", place / "command" / "made.safetensors"
    flags = ["--model=flux.safetensors", "--vae=ae.safetensors", "--text-encoder=t5xxl.safetensors"]
    flags += ["--text-encoder=clip_l.safetensors", f"--data={place / 'input' / 'pictures'}"]
    flags += [f"--output={output}", "--steps=2", "--batch-size=2", "--resolution=32", *settings]
    assert command.main(flags) == 0
    made = models / "softrepa" / "made.safetensors"
    assert made.read_bytes() == output.read_bytes()
    assert load_file(made)["tokens"].shape == (2, 4, 128)
    assert all(entry["grad_norm"] > 0 for entry in read_log(made.with_suffix(".log.jsonl")))
