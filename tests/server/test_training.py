"""Training in a running server: the command's tokens, everything else as it was, stop and go on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_softrepa.host.server import GraphError
from comfyui_softrepa.tests.graphs import text_to_image
from comfyui_softrepa.training.run import command
from PIL import Image
from safetensors.torch import load_file

COLOURS = ("red", "green", "blue", "yellow", "white", "black")
STEPS = 6


@pytest.fixture(scope="module")
def pictures(server) -> Path:
    folder = server.base / "input" / "squares"
    folder.mkdir()
    for colour in COLOURS:
        Image.new("RGB", (32, 32), colour).save(folder / f"{colour}.png")
        (folder / f"{colour}.txt").write_text(f"a {colour} square\n", encoding="utf-8")
    return folder


def graph(name: str, **given: Any) -> dict[str, Any]:
    """Trains, and paints with the adapter in the same run."""
    made = text_to_image(prefix=name)
    inputs = {
        "model": ["checkpoint", 0],
        "clip": ["checkpoint", 1],
        "vae": ["checkpoint", 2],
        "name": name,
        "folder": "squares",
        "objective": "agsm",
        "recipe": "none",
        "steps": STEPS,
        "batch_size": 3,
        "learning_rate": 0.001,
        "resolution": 32,
        "seed": 0,
        "validation": 0.0,
        "preview_every": 0,
        **given,
    }
    made["train"] = {"class_type": "SoftREPATrain", "inputs": inputs}
    made["apply"] = {
        "class_type": "SoftREPAApply",
        "inputs": {
            "model": ["checkpoint", 0],
            "adapter": ["train", 0],
            "strength": 1.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "layers": "",
        },
    }
    made["sampler"]["inputs"]["model"] = ["apply", 0]
    return made


def tokens(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def test_node_and_command_train_the_same_and_leave_the_rest(server, pictures, sd3_checkpoint):
    adapters = server.base / "models" / "softrepa"
    bare = text_to_image(prefix="bare")
    before = server.image(server.run(bare).images["save"][0])
    trained = server.run(graph("node"))
    painted = server.image(trained.images["save"][0])
    # Under other names, so that nothing of it comes from the cache of results but the model.
    bare["again"] = bare.pop("sampler")
    bare["decode"]["inputs"]["samples"] = ["again", 0]
    after = server.image(server.run(bare).images["save"][0])
    assert pixels(before) == pixels(after) != pixels(painted)

    flags = ["--checkpoint", str(sd3_checkpoint), "--data", str(pictures), "--objective=agsm",
             f"--steps={STEPS}", "--batch-size=3", "--resolution=32",
             "--output", str(server.base / "command" / "node")]  # fmt: skip
    assert command.main(flags) == 0
    ours = tokens(adapters / "node.safetensors")
    theirs = tokens(server.base / "command" / "node.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_interrupted_it_goes_on_to_the_same_tokens(server, pictures):
    adapters = server.base / "models" / "softrepa"
    asked = []

    def interrupt(step: int) -> None:
        if step >= 2 and not asked:
            asked.append(step)
            server.interrupt()

    with pytest.raises(GraphError, match="interrupted"):
        server.run(graph("stopped", steps=40), on_progress=interrupt)
    assert (adapters / "stopped.state").is_file()
    with pytest.raises(GraphError, match="with seed 0, not 1"):
        server.run(graph("stopped", steps=40, seed=1))
    server.run(graph("stopped", steps=40))
    server.run(graph("unbroken", steps=40))
    stopped, unbroken = (tokens(adapters / f"{n}.safetensors") for n in ("stopped", "unbroken"))
    assert all(torch.equal(stopped[key], unbroken[key]) for key in unbroken)


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).tobytes()
