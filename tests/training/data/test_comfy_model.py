"""ComfyUI as a library gives what its own nodes give."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import comfyui_softrepa
import pytest
import torch
from comfyui_softrepa.training import comfy_model
from comfyui_softrepa.training.cache import build
from comfyui_softrepa.training.data import Framing, find
from comfyui_softrepa.training.errors import BadInput
from safetensors.torch import load_file, save_file

from .stand_in import folder

ROOT = Path(comfyui_softrepa.__file__).parent


@pytest.fixture(scope="module", params=["sd3_checkpoint", "sd15_checkpoint"])
def checkpoint(request, comfyui) -> Path:
    comfy_model.start(comfyui)
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def encoder(checkpoint) -> comfy_model.Encoder:
    return comfy_model.Encoder(checkpoint, comfy_model.load_model(checkpoint))


def test_encodings_are_those_of_the_nodes(checkpoint, encoder):
    import comfy.sd

    import nodes

    model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(str(checkpoint))
    caption = "a (red:1.3) cat on a mat, " * 16  # weights, and more than one chunk of tokens
    image = torch.rand(2, 64, 96, 3)
    [[context, extra]] = nodes.CLIPTextEncode().encode(clip, caption)[0]
    latent = nodes.VAEEncode().encode(vae, image)[0]["samples"]

    text = encoder.texts([caption])[0]
    assert context.shape[1] > 77 and torch.equal(text.context, context[0])
    pooled = extra["pooled_output"]
    assert torch.equal(text.pooled, pooled[0])
    latents = encoder.latents(image)
    assert torch.equal(latents, model.model.process_latent_in(latent))
    assert not torch.equal(latents, latent)


def test_a_real_checkpoints_cache(encoder, tmp_path):
    pairs = find(folder(tmp_path / "data", 2))[0]
    caption = pairs[1].captions[0]
    exact = encoder.texts([caption])[0].context
    cache = build(pairs, encoder, tmp_path / "cache", Framing(64))
    assert encoder._loaded is None  # text encoder and VAE have left memory
    assert cache.latent(0).shape[1:] == (8, 8) and cache.latent(0).isfinite().all()
    assert torch.equal(cache.text(caption).context, exact.half().float())
    # CLIP-L alone fills 768 of SD3's 4096 columns, so both models store the same.
    stored = sum(path.stat().st_size for path in (tmp_path / "cache").glob("texts-*"))
    assert stored < 2 * (77 * 768 * 2 + 2048 * 2) + 4000


def test_what_is_no_checkpoint_is_refused_in_a_sentence(comfyui, tmp_path):
    comfy_model.start(comfyui)
    with pytest.raises(BadInput, match="no checkpoint"):
        comfy_model.find_checkpoint("nowhere.safetensors")
    save_file({"lora.up": torch.zeros(2)}, tmp_path / "lora.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    for name in ("lora.safetensors", "text.safetensors"):
        with pytest.raises(BadInput, match="does not recognise"):
            comfy_model.load_model(comfy_model.find_checkpoint(str(tmp_path / name)))


@pytest.mark.parametrize("lacking", ["text encoder", "VAE"])
def test_a_checkpoint_in_parts_is_refused(sd3_checkpoint, comfyui, tmp_path, lacking):
    comfy_model.start(comfyui)
    prefix = {"text encoder": "text_encoders.", "VAE": "first_stage_model."}[lacking]
    weights = {k: v for k, v in load_file(sd3_checkpoint).items() if not k.startswith(prefix)}
    path = tmp_path / "parts.safetensors"
    save_file(weights, path)
    encoder = comfy_model.Encoder(path, comfy_model.load_model(path))
    with pytest.raises(BadInput, match=f"holds no {lacking}"):
        encoder.texts(["a cat"])


def test_names_in_comfyuis_folders(tmp_path, comfyui, monkeypatch):
    comfy_model.start(comfyui)
    import folder_paths

    (tmp_path / "here.safetensors").write_bytes(b"")
    known = {"checkpoints": ([str(tmp_path)], {".safetensors"})}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    found = comfy_model.find_checkpoint("here.safetensors")
    assert found == tmp_path / "here.safetensors"
    with pytest.raises(BadInput, match=r"here\.safetensors"):
        comfy_model.find_checkpoint("there.safetensors")


def test_extra_model_paths_are_searched(tmp_path, comfyui, monkeypatch):
    comfy_model.start(comfyui)
    import folder_paths

    elsewhere = tmp_path / "elsewhere" / "sd"
    elsewhere.mkdir(parents=True)
    (elsewhere / "far.safetensors").write_bytes(b"")
    monkeypatch.setattr(
        folder_paths, "folder_names_and_paths", {"checkpoints": ([], {".safetensors"})}
    )
    own = tmp_path / "extra_model_paths.yaml"
    own.write_text(f"mine:\n  base_path: {tmp_path / 'elsewhere'}\n  checkpoints: sd\n")
    comfy_model.start(tmp_path)
    assert comfy_model.find_checkpoint("far.safetensors") == elsewhere / "far.safetensors"


def test_comfyui_is_found_by_flag_environment_and_place(tmp_path, monkeypatch):
    def make(folder: Path) -> Path:
        (folder / "comfy").mkdir(parents=True)
        (folder / "main.py").touch()
        return folder

    flagged, named = make(tmp_path / "flagged"), make(tmp_path / "named")
    monkeypatch.setenv("COMFYUI_PATH", str(named))
    assert comfy_model.find_comfyui(flagged) == flagged
    assert comfy_model.find_comfyui() == named
    monkeypatch.delenv("COMFYUI_PATH")
    around = make(tmp_path / "around")
    monkeypatch.setattr(comfy_model, "_PACKS", (around / "custom_nodes" / "pack",))
    assert comfy_model.find_comfyui() == around
    monkeypatch.setattr(comfy_model, "_PACKS", (tmp_path / "alone" / "x" / "y",))
    with pytest.raises(BadInput, match="--comfyui"):
        comfy_model.find_comfyui()
    with pytest.raises(BadInput, match=r"main\.py"):
        comfy_model.find_comfyui(tmp_path)


FRESH = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("pack", sys.argv[1] + "/host/pack.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.import_pack()
from comfyui_softrepa.training import comfy_model
assert "comfy" not in sys.modules
folder = comfy_model.find_comfyui()
comfy_model.start(folder)
import comfy.model_management, folder_paths
print("device", comfy.model_management.get_torch_device())
print("argv", sys.argv[1:])
"""


def test_start_in_a_fresh_python_leaves_our_arguments_alone(comfyui, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(ROOT), "--checkpoint", "x"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "COMFYUI_PATH": str(comfyui)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accelerated = torch.accelerator.is_available()
    assert accelerated or "device cpu" in done.stdout
    assert "--checkpoint" in done.stdout
