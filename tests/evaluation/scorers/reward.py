"""ImageReward: a small file as its authors' code writes it, and its forward in plain torch.

From the published description; nothing of the scorer's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from comfyui_softrepa.tests.evaluation.scorers.tiny import WORDS
from PIL import Image
from torch.nn import functional as F

State = dict[str, torch.Tensor]
HEAD = 64


def bert_words(path: Path) -> Path:
    """A vocab.txt with the five tokens that BERT has besides words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(map(str.lower, WORDS))]
    path.write_text("\n".join(words) + "\n")
    return path


def write(folder: Path) -> dict[str, torch.Tensor]:
    """ImageReward.pt as its authors' code names it, two layers deep, and vocab.txt beside it."""
    folder.mkdir(exist_ok=True)
    bert_words(folder / "vocab.txt")
    count = len((folder / "vocab.txt").read_text().split())
    wide, inner, layers = 64, 128, 2
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, wide), "pos_embed": (1, 17, wide),
        "patch_embed.proj.weight": (wide, 3, 8, 8), "patch_embed.proj.bias": (wide,),
        "norm.weight": (wide,), "norm.bias": (wide,)}  # fmt: skip
    for at in range(layers):
        shapes |= _matrix(f"blocks.{at}.attn.qkv", 3 * wide, wide)
        shapes |= _matrix(f"blocks.{at}.attn.proj", wide, wide)
        shapes |= _matrix(f"blocks.{at}.mlp.fc1", inner, wide)
        shapes |= _matrix(f"blocks.{at}.mlp.fc2", wide, inner)
        shapes |= _scale(f"blocks.{at}.norm1", wide) | _scale(f"blocks.{at}.norm2", wide)
    shapes = {f"blip.visual_encoder.{key}": shape for key, shape in shapes.items()}
    text: dict[str, tuple[int, ...]] = {"embeddings.word_embeddings.weight": (count, wide),
        "embeddings.position_embeddings.weight": (64, wide)}  # fmt: skip
    text |= _scale("embeddings.LayerNorm", wide)
    for at in range(layers):
        layer = f"encoder.layer.{at}."
        for part in ("attention", "crossattention"):
            for name in ("query", "key", "value"):
                text |= _matrix(f"{layer}{part}.self.{name}", wide, wide)
            text |= _matrix(f"{layer}{part}.output.dense", wide, wide)
            text |= _scale(f"{layer}{part}.output.LayerNorm", wide)
        text |= _matrix(f"{layer}intermediate.dense", inner, wide)
        text |= _matrix(f"{layer}output.dense", wide, inner)
        text |= _scale(f"{layer}output.LayerNorm", wide)
    shapes |= {f"blip.text_encoder.{key}": shape for key, shape in text.items()}
    shapes |= _matrix("blip.vision_proj", 16, wide) | _matrix("blip.text_proj", 16, wide)
    sizes = (wide, 32, 24, 16, 8, 1)
    for place, (of, to) in zip((0, 2, 4, 6, 7), itertools.pairwise(sizes), strict=True):
        shapes |= _matrix(f"mlp.layers.{place}", to, of)
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        numbers = torch.randn(shape, generator=generator)
        norm = "norm" in key.lower() and key.endswith("weight")
        scale = numbers[0].numel() ** -0.5 if len(shape) > 1 else 0.1
        state[key] = (1.0 if norm else 0.0) + scale * numbers
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(state, folder / "ImageReward.pt")
    return state


def _matrix(name: str, to: int, of: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (to, of), f"{name}.bias": (to,)}


def _scale(name: str, wide: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (wide,), f"{name}.bias": (wide,)}


def rewards(
    state: State, words: Sequence[str], pictures: Sequence[np.ndarray], texts: Sequence[str]
) -> list[float]:
    """One picture and one text at a time."""
    return [
        _reward(state, _pixels(picture, 32), _ids(words, text))
        for picture, text in zip(pictures, texts, strict=True)
    ]


def _ids(words: Sequence[str], text: str) -> torch.Tensor:
    """Without padding, which attention masks out anyway."""
    known = {word: at for at, word in enumerate(words)}
    told = [known.get(word, known["[UNK]"]) for word in text.lower().split()]
    return torch.tensor([known["[CLS]"], *told, known["[SEP]"]])


def _pixels(picture: np.ndarray, size: int) -> torch.Tensor:
    from torchvision.transforms import CenterCrop, InterpolationMode, Normalize, Resize
    from torchvision.transforms.functional import to_tensor

    seen = Resize(size, InterpolationMode.BICUBIC)(Image.fromarray(picture))
    normalise = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    return normalise(to_tensor(CenterCrop(size)(seen)))


def _linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _norm(state: State, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(T, W), every head apart."""
    out = []
    for at in range(0, q.shape[-1], HEAD):
        mine = slice(at, at + HEAD)
        weights = (q[:, mine] @ k[:, mine].T / HEAD**0.5).softmax(dim=-1)
        out.append(weights @ v[:, mine])
    return torch.cat(out, dim=-1)


def _see(state: State, pixels: torch.Tensor) -> torch.Tensor:
    name = "blip.visual_encoder."
    kernel = state[f"{name}patch_embed.proj.weight"]
    x = F.conv2d(pixels[None], kernel, state[f"{name}patch_embed.proj.bias"], kernel.shape[-1])
    x = torch.cat([state[f"{name}cls_token"][0], x[0].flatten(1).T])
    x = x + state[f"{name}pos_embed"][0]
    for block in (f"{name}blocks.{at}." for at in range(2)):
        qkv = _linear(state, f"{block}attn.qkv", _norm(state, f"{block}norm1", x, 1e-6))
        x = x + _linear(state, f"{block}attn.proj", _attend(*qkv.chunk(3, dim=-1)))
        inner = _linear(state, f"{block}mlp.fc1", _norm(state, f"{block}norm2", x, 1e-6))
        x = x + _linear(state, f"{block}mlp.fc2", F.gelu(inner))
    return _norm(state, f"{name}norm", x, 1e-6)


def _crossed(state: State, name: str, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    q = _linear(state, f"{name}.self.query", x)
    k, v = (_linear(state, f"{name}.self.{part}", other) for part in ("key", "value"))
    out = _linear(state, f"{name}.output.dense", _attend(q, k, v))
    return _norm(state, f"{name}.output.LayerNorm", out + x, 1e-12)


def _reward(state: State, pixels: torch.Tensor, ids: torch.Tensor) -> float:
    seen, name = _see(state, pixels), "blip.text_encoder."
    x = state[f"{name}embeddings.word_embeddings.weight"][ids]
    x = x + state[f"{name}embeddings.position_embeddings.weight"][: len(ids)]
    x = _norm(state, f"{name}embeddings.LayerNorm", x, 1e-12)
    for layer in (f"{name}encoder.layer.{at}." for at in range(2)):
        x = _crossed(state, f"{layer}attention", x, x)
        x = _crossed(state, f"{layer}crossattention", x, seen)
        inner = F.gelu(_linear(state, f"{layer}intermediate.dense", x))
        out = _linear(state, f"{layer}output.dense", inner)
        x = _norm(state, f"{layer}output.LayerNorm", out + x, 1e-12)
    y = x[0]
    for place in (0, 2, 4, 6, 7):
        y = _linear(state, f"mlp.layers.{place}", y)
    return (float(y) - 0.16717362830052426) / 1.0333394966054072
