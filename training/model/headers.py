"""What a model file holds, from its header: nothing large is read, nothing is loaded."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ..errors import BadInput
from ..settings.text_encoders import DETECTED

_SMALL = 4096
"""Numbers of a tensor up to which its values are read: some tell a model's kind."""

_CHANNELS = ("decoder.conv_in.weight", "taesd_decoder.1.weight", "decoder.1.weight")
"""Where a VAE's shape tells the channels of its latents, as (out, channels, h, w)."""

_NORMALISED = "bn.running_mean"
"""In Flux.2's VAE, over its latents after four of them were laid into one."""
_VIDEO, _LATER_VIDEO = (
    "decoder.middle.0.residual.0.gamma",
    "decoder.upsamples.0.upsamples.0.residual.2.weight",
)
"""In the VAE of Wan, Qwen-Image and Anima, with 16 channels; and in that of Wan 2.2 5B, with 48."""

_T5_WORDS = 100_000
"""T5's vocabulary has 32 thousand, UMT5's 256 thousand."""

_FIRST = "text_model.embeddings.position_embedding.weight"
_STANDARD = {"clip_l": (77, 768), "clip_g": (77, 1280), "clip_h": (77, 1024)}
"""Positions and width of the text encoders; there are longer and narrower relatives."""


@dataclass(frozen=True)
class Contents:
    """text_encoders: their kinds, of `text_encoders.DETECTED`. latent_channels: of its VAE,
    None without one. checkpoint: whether it holds a diffusion model."""

    path: Path
    text_encoders: tuple[str, ...]
    latent_channels: int | None
    checkpoint: bool


def contents(path: Path) -> Contents:
    """The parts in a file. Raises BadInput where it cannot be read."""
    tensors, metadata = read(path)
    config = detected(tensors, metadata)
    if config is None:
        kind = _text_encoder(tensors)
        return Contents(path, () if kind is None else (kind,), _latent_channels(tensors), False)
    texts = split(config.process_clip_state_dict(dict(tensors)))
    prefixes = dict.fromkeys(config.vae_key_prefix, "")
    vae = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        for prefix in prefixes
        if name.startswith(prefix)
    }
    return Contents(path, tuple(texts), _latent_channels(vae), True)


def split(texts: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A checkpoint's text encoders, as ComfyUI names their tensors, each by its kind."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in texts.items():
        kind, _, rest = name.partition(".")
        if rest.startswith("transformer."):
            found.setdefault(kind, {})[rest.removeprefix("transformer.")] = tensor
    return {kind: found[kind] for kind in sorted(found)}


def is_standard(path: Path, kind: str) -> bool:
    """Whether a file holds this one text encoder in its usual size; False where it is none."""
    try:
        tensors, _ = read(path)
        if _text_encoder(tensors) != kind:
            return False
    except BadInput:
        return False
    converted = _converted(tensors)
    return kind not in _STANDARD or (
        _FIRST in converted and tuple(converted[_FIRST].shape) == _STANDARD[kind]
    )


def outline(path: Path) -> Any:
    """The `comfy.model_base.BaseModel` of a file without its weights: on the meta device.

    It tells family, blocks and widths. Raises BadInput where ComfyUI does not recognise the file.
    """
    about = path.stat()
    return _outline(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(4)
def _outline(path: Path, changed: int, size: int) -> Any:
    import comfy.model_detection
    import comfy.utils

    tensors, metadata = read(path)
    prefix = comfy.model_detection.unet_prefix_from_state_dict(tensors)
    within = comfy.utils.state_dict_prefix_replace(dict(tensors), {prefix: ""}, filter_keys=True)
    within = within or dict(tensors)
    try:
        config = detected(tensors, metadata) or _diffusers(within)
        if config is None:
            raise ValueError("no model type fits its tensors")
        config.set_inference_dtype(torch.float32, None)
        return config.get_model(within, "", device="meta")
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # detection raises whatever it comes upon
        raise unrecognised(path, error) from error


def unrecognised(path: Path, error: Exception) -> BadInput:
    """For a file that ComfyUI's detection cannot place."""
    logging.debug("reading %s", path, exc_info=error)
    reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
    return BadInput(
        f"ComfyUI does not recognise {path} as a checkpoint ({reason}); choose one that its "
        "Load Checkpoint or Load Diffusion Model node loads."
    )


def read(path: Path) -> tuple[Mapping[str, Tensor], dict[str, str] | None]:
    """Names and shapes of a file's tensors, and its metadata; only small tensors have values.

    Raises BadInput where it is no file of tensors.
    """
    about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(64)
def _read(
    path: Path, changed: int, size: int
) -> tuple[Mapping[str, Tensor], dict[str, str] | None]:
    """changed, size: what tells one content of the file from another."""
    try:
        if path.suffix.lower() in (".safetensors", ".sft"):
            with safe_open(path, framework="pt") as file:
                return {name: _outlined(file, name) for name in file.keys()}, file.metadata()
        import comfy.utils

        loaded, metadata = comfy.utils.load_torch_file(
            str(path), safe_load=True, return_metadata=True
        )
        return {name: _without_values(tensor) for name, tensor in loaded.items()}, metadata
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # readers of pickles raise whatever they come upon
        raise unrecognised(path, error) from error


def _outlined(file: Any, name: str) -> Tensor:
    part = file.get_slice(name)
    shape = part.get_shape()
    if torch.Size(shape).numel() <= _SMALL:
        return file.get_tensor(name)
    # An empty piece has the type, which the header spells in its own way.
    kind = part[:0].dtype
    return torch.empty(shape, dtype=kind, device="meta")


def _without_values(tensor: Tensor) -> Tensor:
    return tensor if tensor.numel() <= _SMALL else tensor.to("meta")


def detected(tensors: Mapping[str, Tensor], metadata: Any) -> Any:
    """ComfyUI's description of the diffusion model in a file; None where it holds none."""
    import comfy.model_detection

    prefix = comfy.model_detection.unet_prefix_from_state_dict(tensors)
    try:
        return comfy.model_detection.model_config_from_unet(
            dict(tensors), prefix, metadata=metadata
        ) or comfy.model_detection.model_config_from_unet(dict(tensors), "", metadata=metadata)
    except Exception:  # of a file that is no diffusion model
        logging.debug("detecting a model", exc_info=True)
        return None


def _diffusers(tensors: Mapping[str, Tensor]) -> Any:
    import comfy.model_detection

    converted = comfy.model_detection.convert_diffusers_mmdit(dict(tensors), "")
    if converted is not None:
        return comfy.model_detection.model_config_from_unet(converted, "")
    return comfy.model_detection.model_config_from_diffusers_unet(dict(tensors))


def _text_encoder(tensors: Mapping[str, Tensor]) -> str | None:
    import comfy.sd

    found = comfy.sd.detect_te_model(_converted(tensors))
    kind = None if found is None else DETECTED.get(found.name)
    if kind == "t5xxl" and len(tensors.get("shared.weight", ())) > _T5_WORDS:
        return "umt5xxl"
    return kind


def _converted(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """As ComfyUI's loader sees a text encoder that OpenCLIP saved."""
    if "transformer.resblocks.0.ln_1.weight" not in tensors:
        return tensors
    import comfy.utils

    return comfy.utils.clip_text_transformers_convert(dict(tensors), "", "")


def _latent_channels(tensors: Mapping[str, Tensor]) -> int | None:
    def there(name: str) -> Tensor | None:
        return tensors.get(name, tensors.get(f"first_stage_model.{name}"))

    if (normalised := there(_NORMALISED)) is not None:
        return len(normalised)
    if there(_VIDEO) is not None:
        return 16 if there(_LATER_VIDEO) is None else 48
    for name in _CHANNELS:
        if (tensor := there(name)) is not None and tensor.ndim == 4:
            return int(tensor.shape[1])
    return None
