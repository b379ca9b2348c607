"""Loads what a recipe's graph names, in this process, as ComfyUI's own loaders do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths

from ... import injection
from ...softrepa import files
from ...softrepa.errors import AdapterError
from ..errors import EvaluationError
from .sources.graph import is_link

Outputs = tuple[Any, ...]
FOLDERS = {
    "CheckpointLoaderSimple": ("checkpoints", ("ckpt_name",)),
    "UNETLoader": ("diffusion_models", ("unet_name",)),
    "CLIPLoader": ("text_encoders", ("clip_name",)),
    "DualCLIPLoader": ("text_encoders", ("clip_name1", "clip_name2")),
    "TripleCLIPLoader": ("text_encoders", ("clip_name1", "clip_name2", "clip_name3")),
    "VAELoader": ("vae", ("vae_name",)),
    "LoraLoader": ("loras", ("lora_name",)),
    "SoftREPALoader": ("softrepa", ("adapter",)),
}
"""Of each loader the folder of its files, and the inputs that name them."""


def settle_names(graph: Mapping[str, Mapping[str, Any]]) -> None:
    """Makes every file of the graph one that ComfyUI lists, and its input that name.

    A file given by its path joins the folder of its kind. Raises EvaluationError where there is
    none.
    """
    _know_adapters()
    for node in graph.values():
        folder, inputs = FOLDERS.get(node["class_type"], ("", ()))
        for name in inputs:
            node["inputs"][name] = _listed(folder, str(node["inputs"][name]))


def _know_adapters() -> None:
    """The folders that the pack registers in a running ComfyUI."""
    for parent in (folder_paths.models_dir, folder_paths.get_output_directory()):
        folder_paths.add_model_folder_path("softrepa", str(Path(parent) / "softrepa"))


def _listed(folder: str, name: str) -> str:
    name = name.replace("\\", "/")
    given = Path(name).expanduser()
    if folder_paths.get_full_path(folder, name) and not given.is_absolute():
        return name
    if not given.is_file():
        raise EvaluationError(
            f"There is no file {name}, nor one of that name in ComfyUI's {folder} folder."
        )
    path = given.absolute()
    # First among its kind, so that a name stands for this file and no other.
    folder_paths.add_model_folder_path(folder, str(path.parent), is_default=True)
    found = folder_paths.get_full_path(folder, path.name)
    if found is None or not Path(found).samefile(path):
        raise EvaluationError(
            f"{name} has the name of another file that is used: give one of them another name."
        )
    return path.name


def load(graph: Mapping[str, Mapping[str, Any]], links: Sequence[Any]) -> list[Any]:
    """What these links stand for; every node is loaded once. Raises EvaluationError."""
    done: dict[str, Outputs] = {}

    def value(given: Any) -> Any:
        if not is_link(given):
            return given
        node, output = given
        if node not in done:
            entry = graph[node]
            inputs = {key: value(each) for key, each in entry["inputs"].items()}
            done[node] = _understood(entry, inputs)
        return done[node][output]

    return [value(link) for link in links]


def _understood(entry: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """The node's outputs; what its files' readers raise, in one sentence."""
    named = ", ".join(str(v) for k, v in entry["inputs"].items() if _names_file(entry, k))
    try:
        return _LOADERS[entry["class_type"]](**inputs)
    except AdapterError as error:
        raise EvaluationError(str(error)) from None
    except (MemoryError, OSError):
        raise
    except Exception as error:  # readers and detection raise whatever they come upon
        if type(error).__name__ == "OutOfMemoryError" or not named:
            raise
        reason = " ".join(str(error).split())[:200]
        raise EvaluationError(
            f"{named} cannot be used ({reason or type(error).__name__})."
        ) from error


def _names_file(entry: Mapping[str, Any], name: str) -> bool:
    return name in FOLDERS.get(entry["class_type"], ("", ()))[1]


def _path(folder: str, name: str) -> str:
    return folder_paths.get_full_path_or_raise(folder, name)


def _checkpoint(ckpt_name: str) -> Outputs:
    model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(
        _path("checkpoints", ckpt_name), embedding_directory=_embeddings()
    )
    if model is None:
        raise EvaluationError(f"{ckpt_name} holds no model that ComfyUI knows: name a checkpoint.")
    # A checkpoint without a VAE gives one without weights.
    return model, clip, vae if getattr(vae, "first_stage_model", None) is not None else None


def _unet(unet_name: str, weight_dtype: str) -> Outputs:
    return (comfy.sd.load_diffusion_model(_path("diffusion_models", unet_name)),)


def _clip(type: str = "sd3", **names: str) -> Outputs:
    kind = getattr(comfy.sd.CLIPType, type.upper(), comfy.sd.CLIPType.STABLE_DIFFUSION)
    paths = [_path("text_encoders", name) for _, name in sorted(names.items())]
    return (
        comfy.sd.load_clip(ckpt_paths=paths, embedding_directory=_embeddings(), clip_type=kind),
    )


def _embeddings() -> list[str]:
    return folder_paths.get_folder_paths("embeddings")


def _vae(vae_name: str) -> Outputs:
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(_path("vae", vae_name)))
    vae.throw_exception_if_invalid()
    return (vae,)


def _lora(
    model: Any, clip: Any, lora_name: str, strength_model: float, strength_clip: float
) -> Outputs:
    weights = comfy.utils.load_torch_file(_path("loras", lora_name), safe_load=True)
    return comfy.sd.load_lora_for_models(model, clip, weights, strength_model, strength_clip)


def _adapter(adapter: str) -> Outputs:
    return (files.read(Path(_path("softrepa", adapter))),)


def _apply(model: Any, adapter: Any, strength: float, **settings: Any) -> Outputs:
    application = injection.make_application(model.model, adapter, strength, **settings)
    return (injection.apply(model, application),)


_LOADERS: Mapping[str, Callable[..., Outputs]] = {
    "CheckpointLoaderSimple": _checkpoint,
    "UNETLoader": _unet,
    "CLIPLoader": _clip,
    "DualCLIPLoader": _clip,
    "TripleCLIPLoader": _clip,
    "VAELoader": _vae,
    "LoraLoader": _lora,
    "SoftREPALoader": _adapter,
    "SoftREPAApply": _apply,
}
