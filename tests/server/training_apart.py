"""What must hold of Train SoftREPA Adapter where model, text encoders and VAE are files apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from comfyui_softrepa.host.pack import flags
from comfyui_softrepa.host.server import Server
from comfyui_softrepa.tests import checkpoints
from comfyui_softrepa.tests.graphs import apart, of_dataset, text_to_image, training
from comfyui_softrepa.training.run import command
from PIL import Image
from safetensors.torch import load_file

Tokens = dict[str, torch.Tensor]


def check_apart(
    server: Server,
    pictures: Path,
    family: str,
    checkpoint: Path,
    resolution: int,
    say: Callable[[str], object] = lambda held: None,
) -> None:
    """Node and command train the same on the files of this checkpoint, taken apart; with a LoRA, on
    lists of other nodes, other tokens come out; and the bare model paints the same bits as before.

    say: is told what has been seen to hold.
    """
    models = checkpoints.write_apart(checkpoint, server.base / "models", family)
    adapters = models / "softrepa"
    common = {"folder": pictures.name, "steps": 1, "batch_size": 2, "resolution": resolution}

    def graph(name: str) -> dict[str, Any]:
        return training(name, **common)

    before = painted(server, family, "before")
    server.run(only_training(apart(graph(f"{family}_apart"), family)))
    say("trained of files apart")
    flags = [f"--{flag}={path}" for flag, path in _files(models, family)]
    flags += [f"--data={pictures}", "--steps=1", "--batch-size=2", f"--resolution={resolution}"]
    newest = max(adapters.glob(".cache-*"), key=lambda each: each.stat().st_mtime)
    flags += [f"--cache={newest}"]
    output = server.base / "command" / f"{family}.safetensors"
    assert command.main([*flags, f"--output={output}"]) == 0
    made = tokens(adapters / f"{family}_apart.safetensors")
    check_equal(made, tokens(output))
    say("the command's tokens are the node's")
    with_lora = apart(of_dataset(graph(f"{family}_lora")), family, lora=True)
    server.run(only_training(with_lora))
    other = tokens(adapters / f"{family}_lora.safetensors")
    assert any(not torch.equal(made[key], other[key]) for key in made)
    say("trained with a LoRA, on lists of other nodes: other tokens")
    assert painted(server, family, "after") == before
    say("the bare model paints the same bits as before")


def only_training(graph: dict[str, Any]) -> dict[str, Any]:
    unused = ("positive", "negative", "latent", "apply", "sampler", "decode", "save")
    return {key: node for key, node in graph.items() if key not in unused}


def _files(models: Path, family: str) -> list[tuple[str, Path]]:
    texts = sorted((models / "text_encoders").glob(f"{family}_clip_*.safetensors"), reverse=True)
    return [
        ("model", models / "diffusion_models" / f"{family}.safetensors"),
        ("vae", models / "vae" / f"{family}.safetensors"),
        *(("text-encoder", each) for each in texts),
    ]


def painted(server: Server, family: str, name: str) -> bytes:
    """The bare model's picture; the sampler has a name of its own, so that it is painted anew."""
    graph = text_to_image(prefix=name, steps=1)
    graph["latent"]["class_type"] = "EmptyLatentImage"
    graph[name] = graph.pop("sampler")
    graph["decode"]["inputs"]["samples"] = [name, 0]
    return pixels(server.image(server.run(apart(graph, family)).images["save"][0]))


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).tobytes()


def tokens(path: Path) -> Tokens:
    return load_file(path)


def check_equal(ours: Tokens, theirs: Tokens) -> None:
    """The same bits on a CPU. On a card sums are in no order: one command run twice differs too."""
    assert ours.keys() == theirs.keys()
    apart = {
        key: float((ours[key] - theirs[key]).norm() / theirs[key].norm())
        for key in ours
        if not torch.equal(ours[key], theirs[key])
    }
    if "--cpu" in flags():
        assert apart == {}
    assert all(error < 1e-4 for error in apart.values()), apart
