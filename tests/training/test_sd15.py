"""SD1.5: all of it with random weights, within memory and time; and its ways to place tokens."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import checkpoints
from comfyui_softrepa.tests.training import command
from comfyui_softrepa.training.model import comfy_model, design
from comfyui_softrepa.training.model.model_files import ModelFiles
from comfyui_softrepa.training.settings.command_line import read_settings
from safetensors import safe_open

MOST_MEMORY = 12 << 30
MOST_SECONDS = 90.0


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "sd15.safetensors"
    yield checkpoints.write_sd15(path, full=True)
    path.unlink()  # 2 GB


def test_the_whole_network_trains_within_memory_and_time(
    sd15, sd15_checkpoint, pictures, tmp_path
) -> None:
    with safe_open(sd15, "pt") as file:
        names = [name for name in file.keys() if name.startswith("model.diffusion_model.")]
        numbers = sum(torch.Size(file.get_slice(name).get_shape()).numel() for name in names)
    assert numbers == 859_520_964
    arguments = [f"--checkpoint={sd15}", f"--data={pictures}", f"--cache={tmp_path / 'cache'}"]
    arguments += [f"--output={tmp_path / 'adapter.safetensors'}", "--resolution=64", "--steps=1"]
    arguments += ["--batch-size=2", "--micro-batch=4", "--normalise", "--no-tensorboard"]
    taken = command.run(*arguments)
    print(f"{taken.peak / 1e9:.2f} GB, {taken.seconds:.0f} s")
    assert taken.code == 0
    assert taken.peak < MOST_MEMORY
    assert taken.seconds < MOST_SECONDS
    adapter = files.read(tmp_path / "adapter.safetensors")
    assert adapter.tokens.shape == (1, 1, 4, 768) and adapter.layers == ("input",)
    assert adapter.offsets.shape == (1, 100, 1, 768) and adapter.placement == "after_bos"
    assert adapter.metadata["softrepa.own_weight"] == "10.0"
    # They started from the empty prompt's first embedding (the small checkpoint has the same text
    # encoder), and AdamW's first step moves what has a gradient by the learning rate, 1e-3.
    model = comfy_model.load_model(sd15_checkpoint)
    encoder = comfy_model.Encoder(ModelFiles(sd15_checkpoint), model)
    bos = encoder.texts([""])[0].context[0].half()  # as the cache keeps it
    encoder.release()
    settings = read_settings(arguments).completed(design.family(model.model))
    start = design.tokens_for(settings, model.model, bos).adapter
    assert float(bos.std()) > 0.2
    moved = (adapter.tokens - start.tokens).abs()
    assert 5e-4 < float(moved.median()) and float(moved.max()) < 2.1e-3


def test_tokens_per_block(sd15_checkpoint, train, tmp_path) -> None:
    more = [f"--checkpoint={sd15_checkpoint}", f"--cache={tmp_path / 'cache'}", "--steps=2"]
    more += ["--resolution=64", "--per-block", "--layers=input,middle", "--objective=agsm"]
    assert train(tmp_path, *more, "--start=normal", "--batch-size=2", "--val-fraction=0") == 0
    adapter = files.read(tmp_path / "adapter.safetensors")
    assert adapter.layers == ("input.1", "input.3", "middle.0")
    assert adapter.tokens.shape == (2, 3, 4, 768)
    rows = adapter.tokens[0]
    assert float((rows[0] - rows[1]).abs().mean()) > 1e-3
    assert not torch.equal(adapter.tokens[0], adapter.tokens[1])


def test_checkpointing_trains_the_same_tokens(sd15_checkpoint, train, tmp_path) -> None:
    shared = [f"--checkpoint={sd15_checkpoint}", f"--cache={tmp_path / 'cache'}", "--steps=1"]
    shared += ["--resolution=64", "--batch-size=2", "--val-fraction=0", "--no-tensorboard"]
    adapters = []
    for more in ([], ["--checkpointing"]):
        folder = tmp_path / f"run{len(adapters)}"
        folder.mkdir()
        assert train(folder, *shared, *more) == 0
        adapters.append(files.read(folder / "adapter.safetensors"))
    assert torch.equal(adapters[0].tokens, adapters[1].tokens)
    assert torch.equal(adapters[0].offsets, adapters[1].offsets)
