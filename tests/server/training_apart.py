"""What must hold of Train SoftREPA Adapter where model, text encoders and VAE are files apart."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from comfyui_softrepa.host.server import Server
from comfyui_softrepa.tests import checkpoints
from comfyui_softrepa.tests.graphs import apart, of_dataset, text_to_image, training
from comfyui_softrepa.training.run import command
from PIL import Image
from safetensors.torch import load_file

Tokens = dict[str, torch.Tensor]


def check_apart(
    server: Server, pictures: Path, family: str, checkpoint: Path, resolution: int
) -> None:
    """Node and command train the same on the files of this checkpoint, taken apart; so do lists of
    other nodes; a LoRA makes other tokens; and the bare model paints the same bits as before."""
    models = checkpoints.write_apart(checkpoint, server.base / "models", family)
    adapters = models / "softrepa"
    common = {"folder": pictures.name, "objective": "agsm", "steps": 2, "batch_size": 2}
    common |= {"resolution": resolution}

    def graph(name: str, **given: Any) -> dict[str, Any]:
        return training(name, **common, **given)

    before = painted(server, family, "before")
    server.run(apart(graph(f"{family}_apart"), family))
    flags = [f"--{flag}={path}" for flag, path in _files(models, family)]
    flags += [f"--data={pictures}", "--objective=agsm", "--steps=2", "--batch-size=2"]
    output = server.base / "command" / f"{family}.safetensors"
    assert command.main([*flags, f"--resolution={resolution}", f"--output={output}"]) == 0
    made = tokens(adapters / f"{family}_apart.safetensors")
    check_equal(made, tokens(output))
    server.run(apart(of_dataset(graph(f"{family}_lora")), family, lora=True))
    other = tokens(adapters / f"{family}_lora.safetensors")
    assert any(not torch.equal(made[key], other[key]) for key in made)
    assert painted(server, family, "after") == before


def _files(models: Path, family: str) -> list[tuple[str, Path]]:
    texts = sorted((models / "text_encoders").glob(f"{family}_clip_*.safetensors"), reverse=True)
    return [
        ("model", models / "diffusion_models" / f"{family}.safetensors"),
        ("vae", models / "vae" / f"{family}.safetensors"),
        *(("text-encoder", each) for each in texts),
    ]


def painted(server: Server, family: str, name: str) -> bytes:
    """The bare model's picture; the sampler has a name of its own, so that it is painted anew."""
    graph = text_to_image(prefix=name)
    graph["latent"]["class_type"] = "EmptyLatentImage"
    graph[name] = graph.pop("sampler")
    graph["decode"]["inputs"]["samples"] = [name, 0]
    return pixels(server.image(server.run(apart(graph, family)).images["save"][0]))


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).tobytes()


def tokens(path: Path) -> Tokens:
    return load_file(path)


def check_equal(ours: Tokens, theirs: Tokens) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
