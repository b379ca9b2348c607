"""CLIP's weights, of whatever layout, and its tokens. Needs ComfyUI and torch."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.sd1_clip
import comfy.utils
import torch

from ..scorer import ScorerError

LENGTH = 77
_NEEDED = {
    "text_projection.weight": "no text projection: checkpoints of SD1.x and SDXL have none",
    "visual_projection.weight": "no picture part",
    "text_model.final_layer_norm.weight": "no text part",
}
_VISION_HEADS = {768: 12, 1024: 16, 1280: 16, 1664: 16}


def read(path: Path) -> tuple[dict[str, torch.Tensor], Any]:
    """A whole CLIP: its state as transformers names it, float32, and its `CLIPConfig`.

    path: a file, transformers' or open_clip's, or a folder with config.json and model.safetensors.
    Raises ScorerError where something is missing: ComfyUI would go on with numbers that are none.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    try:
        state = comfy.utils.load_torch_file(str(file), safe_load=True)
        state = {key: value.float() for key, value in state.items() if value.is_floating_point()}
    except Exception as error:  # whatever readers of damaged files raise
        told = " ".join(str(error).split())[:200]
        raise ScorerError(f"{file} cannot be read as a CLIP ({told}).") from error
    if "visual.conv1.weight" in state:
        state = comfy.clip_vision.convert_to_transformers(state, "visual.")
        state = comfy.utils.clip_text_transformers_convert(state, "", "")
    for key, missing in _NEEDED.items():
        if key not in state:
            raise ScorerError(
                f"{file} holds {missing}. Take a whole CLIP, such as model.safetensors of "
                "openai/clip-vit-large-patch14."
            )
    return state, _config(path, state)


def _config(path: Path, state: dict[str, torch.Tensor]) -> Any:
    from transformers import CLIPConfig

    if path.is_dir():
        try:
            return CLIPConfig.from_json_file(str(path / "config.json"))
        except (OSError, ValueError) as error:
            told = " ".join(str(error).split())[:200]
            raise ScorerError(f"{path} has no config.json of a CLIP ({told}).") from error
    text = _transformer(state, "text_model.")
    vision = _transformer(state, "vision_model.")
    width, patch = vision["hidden_size"], state["vision_model.embeddings.patch_embedding.weight"]
    places = state["vision_model.embeddings.position_embedding.weight"].shape[0]
    if width not in _VISION_HEADS or text["hidden_size"] % 64:
        raise ScorerError(
            f"{path} is no CLIP of a known size: put it into a folder with its config.json, as "
            "model.safetensors."
        )
    # OpenAI's have its own activation, those of open_clip's larger sizes do not.
    act = "quick_gelu" if text["hidden_size"] <= 768 else "gelu"
    vision |= {
        "num_attention_heads": _VISION_HEADS[width],
        "patch_size": patch.shape[-1],
        "image_size": patch.shape[-1] * round((places - 1) ** 0.5),
        "hidden_act": act,
    }
    text |= {"num_attention_heads": text["hidden_size"] // 64, "hidden_act": act}
    projection = state["text_projection.weight"].shape[0]
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)


def _transformer(state: dict[str, torch.Tensor], part: str) -> dict[str, int]:
    first = state[f"{part}encoder.layers.0.mlp.fc1.weight"]
    layers = {key.split(".")[3] for key in state if key.startswith(f"{part}encoder.layers.")}
    return {
        "hidden_size": first.shape[1],
        "intermediate_size": first.shape[0],
        "num_hidden_layers": len(layers),
    }


@functools.cache
def _tokenizer() -> Any:
    """CLIP's own, which ComfyUI brings along."""
    from transformers import CLIPTokenizer

    beside = os.path.dirname(comfy.sd1_clip.__file__)
    return CLIPTokenizer.from_pretrained(os.path.join(beside, "sd1_tokenizer"))


class Texts:
    """Texts to CLIP's tokens, plainly: parentheses are no weights; remembers which were cut."""

    def __init__(self) -> None:
        self._cut: set[str] = set()
        self._seen: set[str] = set()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """77 ids each; what is longer is cut, and its end token put last."""
        found = _tokenizer()(list(texts), verbose=False)["input_ids"]
        end = found[0][-1]
        self._seen.update(texts)
        self._cut.update(t for t, ids in zip(texts, found, strict=True) if len(ids) > LENGTH)
        short = [ids if len(ids) <= LENGTH else [*ids[: LENGTH - 1], end] for ids in found]
        return [ids + [end] * (LENGTH - len(ids)) for ids in short]

    def notes(self) -> list[str]:
        """How many of the texts seen were cut, where any was."""
        if not self._cut:
            return []
        return [f"{len(self._cut)} of {len(self._seen)} texts were cut: only 77 tokens count."]
