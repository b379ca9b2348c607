"""CLIP-L without training: word and place embeddings drawn from a seed, empty layers.

Every token keeps its own random vector and every place adds another, which is all the small
MMDiT needs to read a prompt. NumPy freezes RandomState's streams, so every version draws the
same numbers. The weights are made at set-up and never kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

SEED = 20_250_308
VOCABULARY = 49_408
LENGTH = 77
WIDTH = 768
LAYERS = 12
START, END = 49_406, 49_407
PLACES = 13
"""Places with an embedding of their own. All later ones share zero, so the padding behind a
short prompt is one token many times over, which training can count instead of compute."""
PLACE_SCALE = 0.7


def embeddings() -> tuple[Tensor, Tensor]:
    """Token (49408, 768) and place (77, 768) embeddings in half precision."""
    draw = np.random.RandomState(SEED)
    tokens = draw.standard_normal((VOCABULARY, WIDTH)).astype(np.float16)
    places = np.zeros((LENGTH, WIDTH), dtype=np.float16)
    places[:PLACES] = (PLACE_SCALE * draw.standard_normal((PLACES, WIDTH))).astype(np.float16)
    return torch.from_numpy(tokens), torch.from_numpy(places)


def state(prefix: str = "") -> dict[str, Tensor]:
    """All weights of a CLIP-L text model that returns its embeddings unchanged.

    The pooled output is the layer norm of the end token: it tells a prompt's length only.
    """
    tokens, places = embeddings()
    weights = {
        "embeddings.token_embedding.weight": tokens,
        "embeddings.position_embedding.weight": places,
        "final_layer_norm.weight": torch.ones(WIDTH, dtype=torch.float16),
        "final_layer_norm.bias": torch.zeros(WIDTH, dtype=torch.float16),
    }
    for layer in range(LAYERS):
        weights |= _empty_layer(f"encoder.layers.{layer}.")
    result = {f"{prefix}text_model.{key}": value for key, value in weights.items()}
    result[f"{prefix}text_projection.weight"] = torch.eye(WIDTH, dtype=torch.float16)
    return result


def _empty_layer(prefix: str) -> dict[str, Tensor]:
    """A transformer layer whose residual branches add nothing."""
    shapes: dict[str, tuple[int, ...]] = {
        "mlp.fc1": (4 * WIDTH, WIDTH),
        "mlp.fc2": (WIDTH, 4 * WIDTH),
    }
    shapes |= {f"self_attn.{name}_proj": (WIDTH, WIDTH) for name in ("q", "k", "v", "out")}
    layer = {}
    for name, shape in shapes.items():
        layer[f"{prefix}{name}.weight"] = torch.zeros(shape, dtype=torch.float16)
        layer[f"{prefix}{name}.bias"] = torch.zeros(shape[0], dtype=torch.float16)
    for name in ("layer_norm1", "layer_norm2"):
        layer[f"{prefix}{name}.weight"] = torch.ones(WIDTH, dtype=torch.float16)
        layer[f"{prefix}{name}.bias"] = torch.zeros(WIDTH, dtype=torch.float16)
    return layer


class Vocabulary:
    """Token ids of the world's words, as ComfyUI's own CLIP-L tokenizer gives them.

    ComfyUI must be importable: see `host.pack`.
    """

    def __init__(self, words: Iterable[str]) -> None:
        from comfy.sd1_clip import SDTokenizer

        tokenizer = SDTokenizer()
        self._ids: dict[str, list[int]] = {}
        for word in words:
            batch = tokenizer.tokenize_with_weights(word)[0]
            ids = [int(token) for token, _ in batch]
            self._ids[word] = ids[1 : ids.index(END)]

    def ids(self, texts: Iterable[str]) -> Tensor:
        """The first ids of padded prompts, (B, R): PLACES of them or as many as the longest prompt
        has, and one more, which stands for all padding.

        Raises ValueError for a prompt that does not end within LENGTH tokens.
        """
        found = [[START, *(i for word in text.split() for i in self._ids[word]), END]
                 for text in texts]  # fmt: skip
        rows = 1 + max(PLACES, *map(len, found))
        if rows > LENGTH:
            raise ValueError(f"a prompt has more than {LENGTH - 3} tokens")
        return torch.tensor([ids + [END] * (rows - len(ids)) for ids in found])


def bias_of(rows: int) -> Tensor:
    """What is added to the scores of so many of `Vocabulary.ids`, (rows,): the last counts as
    often as there is padding behind the others."""
    bias = torch.zeros(rows)
    bias[-1] = math.log(LENGTH - rows + 1)
    return bias
