"""Which files the MODEL, CLIP and VAE of a graph are, where its loaders are ComfyUI's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...evaluation.painting.sources import graph as graphs
from ...training.model import headers
from ...training.model.design import family
from ...training.model.model_files import ModelFiles
from ...training.settings.text_encoders import TEXT_ENCODERS

_LOADERS = {
    "model": {"CheckpointLoaderSimple": ("ckpt_name",), "UNETLoader": ("unet_name",)},
    "clip": {
        "CheckpointLoaderSimple": ("ckpt_name",),
        "CLIPLoader": ("clip_name",),
        "DualCLIPLoader": ("clip_name1", "clip_name2"),
        "TripleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3"),
    },
    "vae": {"CheckpointLoaderSimple": ("ckpt_name",), "VAELoader": ("vae_name",)},
}
"""Of each input the loaders that give a file's weights as they are, and which inputs name files."""


def files_of(prompt: graphs.Graph, node: str, model: Any) -> ModelFiles | None:
    """The files as the command would be told of them; None where any weight is not a file's own.

    prompt: the graph in API format. node: the id of the node that trains. model: the
    `comfy.model_base.BaseModel` in it.
    """
    parts = {name: _files(prompt, node, name) for name in _LOADERS}
    if not all(parts.values()):
        return None
    [own], texts, [vae] = parts["model"], parts["clip"], parts["vae"]
    encoders = () if texts == [own] else _by_kind(texts, TEXT_ENCODERS[family(model)])
    return ModelFiles(own, encoders, None if vae == own else vae)


def named(prompt: graphs.Graph, node: str) -> str:
    """What the model is made of, in a few words."""
    link = prompt.get(node, {}).get("inputs", {}).get("model")
    found = graphs.made(prompt, [link]).models if link else ()
    names = [model.name for model in found if model.kind not in ("text encoder", "vae")]
    return " + ".join(dict.fromkeys(names)) or "a model of the graph"


def _files(prompt: graphs.Graph, node: str, name: str) -> list[Path]:
    link = prompt.get(node, {}).get("inputs", {}).get(name)
    if not graphs.is_link(link):
        return []
    loader: Mapping[str, Any] = prompt.get(link[0], {})
    inputs, wanted = loader.get("inputs", {}), _LOADERS[name].get(loader.get("class_type"), ())
    if inputs.get("weight_dtype", "default") != "default":
        return []
    found = [graphs.find(each, inputs.get(each)) for each in wanted]
    return [] if None in found else [each[1][0].resolve() for each in found]


def _by_kind(files: list[Path], wanted: tuple[str, ...]) -> tuple[tuple[str, Path], ...]:
    kinds = {kind: path for path in files for kind in headers.contents(path).text_encoders}
    return tuple((kind, kinds[kind]) for kind in wanted if kind in kinds)
