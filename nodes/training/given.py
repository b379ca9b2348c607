"""The model to train for as a graph gives it: MODEL, CLIP and VAE from any loaders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...training.cache.encoding import Text
from ...training.data.known import Known
from ...training.errors import BadInput
from ...training.model import comfy_model
from ...training.model.captions import Captions
from ...training.model.design import family
from ...training.model.model_files import ModelFiles
from ...training.settings.text_encoders import OPTIONAL, TEXT_ENCODERS, in_graph


@dataclass(frozen=True)
class Weights:
    """What stands for a model whose files are not known: the hash of all its weights."""

    name: str
    identity: str

    @property
    def model(self) -> Path:
        return Path(self.name)

    def described(self) -> dict[str, str]:
        return {"base_model": self.name, "base_model_sha256": self.identity}


class Encoder(comfy_model.Encoder):
    """The text encoders and VAE of the graph, made under inference mode as all that nodes make.
    Every call looks whether the user has interrupted."""

    moving = torch.inference_mode

    def __init__(
        self, base: Given, files: ModelFiles | Weights, patcher: Any, sampled: bool
    ) -> None:
        super().__init__(files, patcher, sampled)
        self._base, self._tell = base, base.tell

    def latents(self, images: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        found = super().latents(images)
        self._tell(len(images), "pictures")
        return found

    def texts(self, captions: Sequence[str]) -> list[Text]:
        comfy.model_management.throw_exception_if_processing_interrupted()
        found = super().texts(captions)
        self._tell(len(captions), "captions")
        return found

    def _load(self) -> tuple[Captions, Any]:
        return Captions(self._base.clip), self._base.vae


@dataclass(frozen=True)
class Given:
    """A `training.model.base_model.Base` of what loaders gave.

    files: the files it is, or `Weights`. tell: called with how many pictures or captions have been
    encoded.
    """

    model: Any
    clip: Any
    vae: Any
    files: ModelFiles | Weights
    tell: Callable[[int, str], object] = lambda count, what: None
    notes: tuple[str, ...] = ()

    @property
    def outline(self) -> Any:
        return self.model.model

    def load(self) -> Any:
        return self.model

    def encoder(self, patcher: Any, known: Known, sampled: bool) -> Encoder:
        files = self.files
        if isinstance(files, ModelFiles):
            files = replace(files, known=known)
        return Encoder(self, files, patcher, sampled)


def check(model: Any, clip: Any, vae: Any) -> None:
    """Raises BadInput, in one sentence, where these cannot be trained, or not together."""
    kind = family(model.model)
    if clip is None:
        raise BadInput("The clip is empty, as of a checkpoint without text encoders: load them.")
    if getattr(vae, "first_stage_model", None) is None:
        raise BadInput("The vae is empty, as of a checkpoint without one: connect Load VAE.")
    if any(not _trainable(each) for each in model.model.parameters()):
        raise BadInput(
            "This model is loaded in a compressed form (GGUF, NF4, int8) that no gradient passes "
            "through: connect one loaded from .safetensors in fp16, bf16 or fp8."
        )
    _check_plain(model)
    _check_fit(kind, model.model, clip, vae)


def _trainable(weight: Tensor) -> bool:
    plain = type(weight) in (torch.nn.Parameter, Tensor)
    return plain and weight.is_floating_point()


def _check_plain(model: Any) -> None:
    """Weights may be patched (LoRA); what else nodes do to a model would be left out unseen."""
    options: Mapping[str, Any] = model.model_options
    set_there = [key for key in options if key != "transformer_options"]
    set_there += [key for key, value in options.get("transformer_options", {}).items() if value]
    changed = [*set_there, *model.object_patches]
    if changed:
        raise BadInput(
            f"The model is changed by a node ({', '.join(changed[:3])}), and adapters are trained "
            "for a model as it is loaded, with or without LoRAs: take it from before that node."
        )


def _check_fit(kind: str, model: Any, clip: Any, vae: Any) -> None:
    encoders = {f"clip_{key}" if len(key) == 1 else key for key in clip.tokenize("")}
    wanted = in_graph(kind)
    if not encoders <= wanted or (kind != "SD3" and not wanted - OPTIONAL <= encoders):
        raise BadInput(
            f"The model is {kind}, whose texts go through {', '.join(TEXT_ENCODERS[kind])}, and "
            f"the clip holds {', '.join(sorted(encoders))}: connect that model's own."
        )
    channels, own = vae.latent_channels, model.latent_format.latent_channels
    if channels != own:
        raise BadInput(
            f"The vae makes latents of {channels} channels, and {kind} has {own}: connect {kind}'s "
            "own VAE."
        )


def weights_of(name: str, model: Any, clip: Any, vae: Any) -> Weights:
    """One hash of all weights with their patches, for a model whose files are not known."""
    digest = hashlib.sha256()
    for patcher in (model, clip.patcher, vae.patcher):
        for part in _parts(patcher):
            digest.update(part if isinstance(part, bytes) else _bytes(part))
    digest.update(repr(clip.layer_idx).encode())
    return Weights(name, digest.hexdigest())


def _parts(patcher: Any) -> Iterator[bytes | Tensor]:
    """Names and tensors of a `ModelPatcher`: its weights as they are loaded, then what is added."""
    for key, tensor in sorted(patcher.model.state_dict().items()):
        kept = patcher.backup.get(key)  # the weight that a patch stands in for at the moment
        yield key.encode()
        yield tensor if kept is None else kept.weight
    for key, patches in sorted(patcher.patches.items(), key=lambda each: str(each[0])):
        for strength, patch, strength_model, offset, *_ in patches:
            yield repr((key, strength, strength_model, offset, type(patch).__name__)).encode()
            yield from _tensors(getattr(patch, "weights", patch))


def _tensors(value: Any) -> Iterator[bytes | Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    else:
        yield repr(value).encode()


def _bytes(tensor: Tensor) -> bytes:
    # Its data: of some tensors (see `injection.backward.inference_weights`) torch gives no view.
    plain = tensor.detach().cpu().contiguous().data
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes()
