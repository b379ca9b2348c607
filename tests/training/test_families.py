"""SDXL and SD3.5 from checkpoints that ComfyUI detects: trained, loaded by the nodes, sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.sample
import comfy.supported_models
import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.adapters.loader import SoftREPALoader
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa.adapter import Adapter
from comfyui_softrepa.tests import checkpoints
from comfyui_softrepa.tests.training import command as process
from comfyui_softrepa.tests.training.conftest import write_pictures
from comfyui_softrepa.training.model import comfy_model, design
from comfyui_softrepa.training.model.model_files import ModelFiles
from comfyui_softrepa.training.run import command
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.settings.command_line import read_settings

MOST_MEMORY = 12 << 30
CAPTIONS = ("a red square", "a green square", "a blue square", "a yellow square")


@dataclass(frozen=True)
class Family:
    """How to write a checkpoint, and what ComfyUI must find in it."""

    write: Callable[[Path], Path]
    model: type
    config: type
    unet_config: dict[str, Any]
    layers: tuple[str, ...]
    tokens: tuple[int, ...]
    offsets: tuple[int, ...] | None
    apart: bool = False
    """Trained in a process of its own, whose memory is looked at."""


SD3 = (comfy.model_base.SD3, comfy.supported_models.SD3)
FOUR = ("0", "1", "2", "3")
FAMILIES = {
    "SDXL": Family(
        checkpoints.write_sdxl,
        comfy.model_base.SDXL,
        comfy.supported_models.SDXL,
        {"transformer_depth": [0, 0, 2, 2, 10, 10], "context_dim": 2048},
        ("input", "middle"),
        (1, 1, 4, 2048),
        None,
        apart=True,
    ),
    # SD3.5's width follows from its depth in ComfyUI's loader (64 x), so both are reduced.
    "SD3.5 medium": Family(
        partial(checkpoints.write_sd3, depth=4, qk_norm=True, dual_attention=(0, 1)),
        *SD3,
        {"depth": 4, "qk_norm": "rms", "x_block_self_attn_layers": [0, 1]},
        FOUR,
        (1, 4, 4, 256),
        (1, 100, 4, 256),
    ),
    "SD3.5 large": Family(
        partial(checkpoints.write_sd3, depth=4, qk_norm=True),
        *SD3,
        {"depth": 4, "qk_norm": "rms", "x_block_self_attn_layers": []},
        FOUR,
        (1, 4, 4, 256),
        (1, 100, 4, 256),
    ),
}


@dataclass(frozen=True)
class Trained:
    """What one run of the command line left, and the model it was for."""

    family: Family
    arguments: list[str]
    folder: Path
    patcher: Any
    prompts: list[list[Any]]


@pytest.fixture(scope="module", params=list(FAMILIES))
def trained(request, tmp_path_factory) -> Iterator[Trained]:
    family, folder = FAMILIES[request.param], tmp_path_factory.mktemp("family")
    (folder / "pictures").mkdir()
    pictures = write_pictures(folder / "pictures", [text.split()[1] for text in CAPTIONS])
    checkpoint = family.write(folder / "checkpoint.safetensors")
    arguments = [f"--checkpoint={checkpoint}", f"--data={pictures}", f"--cache={folder / 'cache'}"]
    arguments += [f"--output={folder / 'adapter.safetensors'}", "--resolution=64", "--steps=1"]
    arguments += ["--batch-size=2", "--micro-batch=4", "--normalise", "--no-tensorboard"]
    if family.apart:
        taken = process.run(*arguments)
        print(f"{request.param}: {taken.peak / 1e9:.2f} GB, {taken.seconds:.0f} s")
        assert taken.code == 0
        assert taken.peak < MOST_MEMORY
    else:
        assert command.main(arguments) == 0
    patcher = comfy_model.load_model(checkpoint)
    encoder = comfy_model.Encoder(ModelFiles(checkpoint), patcher)
    prompts = [
        [[text.context[None], {"pooled_output": text.pooled[None]}]]
        for text in encoder.texts([CAPTIONS[0], ""])
    ]
    encoder.release()
    yield Trained(family, arguments, folder, patcher, prompts)
    checkpoint.unlink()  # gigabytes


def adapter_from(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    folders = {**folder_paths.folder_names_and_paths}
    folders["softrepa"] = ([str(trained.folder)], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    return SoftREPALoader.execute("adapter.safetensors").args[0]


def sample(trained: Trained, model: Any) -> torch.Tensor:
    latent = torch.zeros(1, trained.patcher.model.latent_format.latent_channels, 8, 8)
    noise = comfy.sample.prepare_noise(latent, 0)
    return comfy.sample.sample(
        model, noise, 1, 4.0, "euler", "simple", *trained.prompts, latent, disable_pbar=True, seed=0
    )


def test_comfyui_detects_the_family(trained: Trained) -> None:
    family, model = trained.family, trained.patcher.model
    assert type(model) is family.model and type(model.model_config) is family.config
    found = model.model_config.unet_config
    assert {key: found.get(key) for key in family.unet_config} == family.unet_config


def test_every_token_was_trained(trained: Trained, monkeypatch) -> None:
    family, adapter = trained.family, adapter_from(trained, monkeypatch)
    model = trained.patcher.model
    settings = read_settings(trained.arguments).completed(design.family(model))
    start = design.tokens_for(settings, model, None).adapter
    assert adapter.layers == family.layers and adapter.tokens.shape == family.tokens
    # AdamW's first step moves a number that has any gradient by the learning rate, 1e-3.
    moved = (adapter.tokens - start.tokens).abs().flatten(2).amax(dim=-1)
    assert float(moved.min()) > 5e-4
    assert (adapter.offsets is None) == (family.offsets is None)
    if family.offsets is not None:
        assert adapter.offsets.shape == family.offsets
    steps = read_log(trained.folder / "adapter.log.jsonl")
    assert len(steps) == 1 and 0.0 < steps[0]["loss"] < 100.0


def test_the_nodes_sample_with_it(trained: Trained, monkeypatch) -> None:
    adapter = adapter_from(trained, monkeypatch)
    applied = [
        SoftREPAApply.execute(trained.patcher, adapter, strength, 0.0, 1.0, "").args[0]
        for strength in (1.0, 0.0)
    ]
    plain, full, none = (sample(trained, model) for model in (trained.patcher, *applied))
    assert torch.isfinite(full).all()
    assert torch.equal(plain, none)
    assert float((full - plain).abs().max()) > 1e-4
