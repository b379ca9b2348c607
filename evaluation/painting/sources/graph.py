"""What a graph in API format tells of an arm: the files it is made of, and every setting."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths

from ....softrepa.files import partner
from ....softrepa.hashing import remembered_hash
from ...trial import Model

Graph = Mapping[str, Mapping[str, Any]]
"""Node id -> {"class_type", "inputs"}; an input is a value, or a link [node id, output]."""

ADAPTERS = "softrepa"
_FOLDERS = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "lora_name": "loras",
    "vae_name": "vae",
    "adapter": ADAPTERS,
    "control_net_name": "controlnet",
    **{f"clip_name{at}": "text_encoders" for at in ("", 1, 2, 3, 4)},
}
"""Inputs of loaders, and where their files lie; others are looked for in every folder."""
_KINDS = {
    "checkpoints": "checkpoint",
    "diffusion_models": "model",
    "loras": "lora",
    "text_encoders": "text encoder",
    "vae": "vae",
    ADAPTERS: "adapter",
}
_SETTINGS = {"strength", "strength_model", "layers", "start_percent", "end_percent"}
_LONGEST = 2000
"""Characters that the manifest takes in one text."""
WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".bin", ".pth", ".pkl", ".gguf")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


@dataclass(frozen=True)
class Made:
    """models: the files of an arm. settings: its nodes and their values, in words that are equal
    where they are."""

    models: tuple[Model, ...]
    settings: str


def made(graph: Graph, links: Iterable[Any]) -> Made:
    """What lies upstream of these inputs, each file once and hashed."""
    nodes = list(_upstream(graph, links))
    models: dict[tuple[str, str, Any], Model] = {}
    for node in nodes:
        for model in _models(graph, node, nodes):
            models.setdefault((model.kind, model.name, _use(model)), model)
    order = [*_KINDS.values(), *(model.kind for model in models.values())]
    found = sorted(models.values(), key=lambda model: order.index(model.kind))
    return Made(tuple(found), _settings(graph, nodes))


def _use(model: Model) -> Any:
    return model.strength, model.layers, model.start_percent, model.end_percent


def _upstream(graph: Graph, links: Iterable[Any]) -> Iterator[str]:
    """The nodes that the links come from and all before them, those first that are needed first."""
    seen: set[str] = set()
    open_ = [(str(link[0]), False) for link in reversed([x for x in links if is_link(x)])]
    while open_:
        node, entered = open_.pop()
        if entered:
            yield node
        if entered or node in seen or node not in graph:
            continue
        seen.add(node)
        inputs = graph[node].get("inputs", {})
        open_.append((node, True))
        open_ += [(str(v[0]), False) for _, v in sorted(inputs.items(), reverse=True) if is_link(v)]


def is_link(value: Any) -> bool:
    """Whether an input comes from another node."""
    return isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str)


def _models(graph: Graph, node: str, nodes: Collection[str]) -> Iterator[Model]:
    inputs = graph[node].get("inputs", {})
    for name, value in inputs.items():
        found = find(name, value)
        if found is None:
            continue
        folder, paths = found
        used = _used(graph, node, nodes) if folder == ADAPTERS else inputs
        for path in paths:
            yield Model(
                _KINDS.get(folder, folder)[:40],
                value if path == paths[0] and not os.path.isabs(value) else path.name,
                remembered_hash(path),
                **_plain(used),
            )


def find(name: str, value: Any) -> tuple[str, list[Path]] | None:
    """The folder's name and the files of a value that names a file; None where it does not.

    name: the input's. An adapter may have a second file beside it, with its offsets.
    """
    if isinstance(value, str) and value.lower().endswith(PICTURES):
        return _picture(value)
    if not isinstance(value, str) or not value.lower().endswith(WEIGHTS):
        return None
    known = _FOLDERS.get(name)
    if os.path.isabs(value):
        return (known or "file", [Path(value)]) if os.path.isfile(value) else None
    for folder in [known] if known else folder_paths.folder_names_and_paths:
        path = _in_folder(folder, value)
        if path is not None:
            return folder, [path, *_partners(folder, path)]
    return None


def _picture(name: str) -> tuple[str, list[Path]] | None:
    """A file in ComfyUI's input folder, such as LoadImage takes."""
    folder = Path(os.path.abspath(folder_paths.get_input_directory()))
    path = Path(os.path.abspath(folder / name))
    return ("input", [path]) if path.is_relative_to(folder) and path.is_file() else None


def _in_folder(folder: str, name: str) -> Path | None:
    try:
        # Windows' slashes, where the workflow was saved there.
        path = folder_paths.get_full_path(folder, name.replace("\\", "/"))
    except (KeyError, ValueError):
        return None
    return Path(path) if path else None


def _partners(folder: str, path: Path) -> list[Path]:
    found = partner(path) if folder == ADAPTERS else None
    return [found] if found is not None else []


def _used(graph: Graph, loader: str, nodes: Iterable[str]) -> Mapping[str, Any]:
    """The inputs of the one node that takes an adapter from its loader; none where several do."""
    inputs = [graph[node].get("inputs", {}) for node in nodes]
    takers = [i for i in inputs if any(is_link(v) and v[0] == loader for v in i.values())]
    return takers[0] if len(takers) == 1 else {}


def _plain(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are constants, under the manifest's names."""
    found: dict[str, Any] = {}
    for key in _SETTINGS & inputs.keys():
        value = inputs[key]
        text = key == "layers"
        if isinstance(value, str if text else (int, float)) and not isinstance(value, bool):
            found["strength" if key == "strength_model" else key] = value
    return found


def _settings(graph: Graph, nodes: Iterable[str]) -> str:
    """The nodes with their constants, and a hash where that is longer than a text may be."""
    told = []
    for node in nodes:
        inputs = graph[node].get("inputs", {})
        values = {k: v for k, v in sorted(inputs.items()) if not is_link(v)}
        kept = {k: v for k, v in values.items() if find(k, v) is None}
        said = " ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in kept.items())
        told.append(f"{graph[node].get('class_type')} {said}".strip())
    text = "; ".join(told)
    if len(text) <= _LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: _LONGEST - 80]}... (sha256 {digest})"
