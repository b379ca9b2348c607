"""Models from files apart, LoRAs, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfyui_softrepa.evaluation import cli
from comfyui_softrepa.evaluation.trial import open_trial
from comfyui_softrepa.tests.evaluation.painting import studio
from safetensors.torch import load_file, save_file

FLAGS = ["--steps=1", "--guidance=4", "--scheduler=simple", "--width=64", "--height=64", "--cpu",
         "--prompts=a blue square"]  # fmt: skip
PARTS = {
    "model": "model.diffusion_model.",
    "clip": "text_encoders.clip_l.transformer.",
    "vae": "first_stage_model.",
}
_WEIGHT = "joint_blocks.0.x_block.mlp.fc1"


@pytest.fixture(scope="module")
def parts(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as three files, and a LoRA of random numbers for its model."""
    folder = tmp_path_factory.mktemp("parts")
    weights = load_file(base / "models" / "checkpoints" / studio.CHECKPOINT)
    for name, prefix in PARTS.items():
        part = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        save_file(part, folder / f"{name}.safetensors")
    shape = weights[f"model.diffusion_model.{_WEIGHT}.weight"].shape
    generator = torch.Generator().manual_seed(0)
    lora = {
        f"diffusion_model.{_WEIGHT}.lora_up.weight": (shape[0], 4),
        f"diffusion_model.{_WEIGHT}.lora_down.weight": (4, shape[1]),
    }
    tensors = {name: torch.randn(of, generator=generator) for name, of in lora.items()}
    save_file(tensors, folder / "lora.safetensors")
    (folder / "broken.safetensors").write_bytes(b"no model")
    return folder


def test_files_apart_paint_what_the_checkpoint_paints(parts, tmp_path, capsys):
    arms = ["--arm=bare", f"--arm=lora: lora='{parts / 'lora.safetensors'}' strength=0.8"]
    whole = ["--checkpoint", studio.CHECKPOINT]
    apart = ["--model", str(parts / "model.safetensors"), "--clip-type=sd3", "--text-encoder",
             str(parts / "clip.safetensors"), "--vae", str(parts / "vae.safetensors")]  # fmt: skip
    for folder, files in (("whole", whole), ("apart", apart)):
        line = ["paint", str(tmp_path / folder), *files, *arms, *FLAGS]
        assert cli.main(line) == 0, capsys.readouterr().err
    seen = studio.pixels(tmp_path / "whole")
    assert seen == studio.pixels(tmp_path / "apart")
    assert len(set(seen.values())) == 2, "the LoRA changes the picture"
    models = open_trial(tmp_path / "apart").manifest.arms[1].models
    kinds = {model.kind: (model.name, model.strength) for model in models}
    assert kinds == {
        "model": ("model.safetensors", None),
        "lora": ("lora.safetensors", 0.8),
        "text encoder": ("clip.safetensors", None),
        "vae": ("vae.safetensors", None),
    }
    assert "unknown" not in open_trial(tmp_path / "apart").manifest.arms[1].details


@pytest.mark.parametrize(
    ("files", "arm", "reason"),
    [
        (["--checkpoint={}/broken.safetensors"], "b", "broken.safetensors cannot be used"),
        (["--checkpoint=demo.safetensors", "--vae={}/clip.safetensors"], "b", "cannot be used"),
        (["--checkpoint={}/model.safetensors"], "b", "bare has neither a CLIP"),
        (["--checkpoint=demo.safetensors"], "b: lora={}/broken.safetensors", "cannot be used"),
        (["--checkpoint=demo.safetensors"], "b: adapter={}/lora.safetensors", "lora.safetensors"),
    ],
)
def test_a_file_that_does_not_serve_is_named(parts, tmp_path, capsys, files, arm, reason):
    flags = [flag.format(parts) for flag in (*files, "--arm=bare", f"--arm={arm}")]
    assert cli.main(["paint", str(tmp_path / "t"), *flags, *FLAGS]) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1, told
    assert not (tmp_path / "t").exists()
