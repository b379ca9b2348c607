"""Open-vocabulary detectors of transformers: what is where in a picture, of things in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from ..objects import Found, apart
from ..scorer import ScorerError
from . import pretrained
from .managed import Managed

if TYPE_CHECKING:
    from ..scorer import Picture

_MEMORY = 1 << 30
"""Bytes that a picture of 960 pixels may take besides the weights."""
Queries = Sequence[tuple[str, str | None]]
"""(name, colour or None)."""


class Detector:
    """OWL-ViT, OWLv2 or Grounding DINO, from its folder.

    A box counts from `threshold` on, as what it is most of all.
    """

    def __init__(self, path: Path) -> None:
        self._model, self._processor = pretrained.read(
            "AutoModelForZeroShotObjectDetection", path, torch.float32
        )
        kind = self._model.config.model_type
        if kind not in _READERS:
            raise ScorerError(
                f"{path.name} is a {kind}: choose an OWLv2 or a Grounding DINO instead."
            )
        self._read, self.threshold = _READERS[kind]
        self._managed = Managed(self._model)

    @torch.inference_mode()
    def find(self, pictures: Sequence[Picture], queries: Sequence[Queries]) -> list[list[Found]]:
        """The objects of each picture, of those it is searched for."""
        device = self._managed.ready(len(pictures) * _MEMORY)
        asked = [[_words(*query) for query in each] for each in queries]
        images = [Image.fromarray(picture) for picture in pictures]
        scores, boxes = self._read(self._model, self._processor, images, asked, device)
        return [
            apart(self._found(score.cpu(), box.cpu(), each))
            for score, box, each in zip(scores, boxes, queries, strict=True)
        ]

    def _found(self, scores: torch.Tensor, boxes: torch.Tensor, queries: Queries) -> list[Found]:
        """scores (N, Q), boxes (N, 4): centre and size in pixels."""
        best, which = scores[:, : len(queries)].max(dim=1)
        chosen = best >= self.threshold
        x, y, wide, high = boxes[chosen].T
        corners = torch.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], dim=1)
        return [
            Found(*queries[query], score, tuple(box))
            for query, score, box in zip(
                which[chosen].tolist(), best[chosen].tolist(), corners.tolist(), strict=True
            )
        ]


def _words(name: str, colour: str | None) -> str:
    return f"{colour} {name}" if colour else name


Read = tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]
"""For each picture: scores (N, Q or more) in 0..1 and boxes (N, 4), centre and size in pixels."""


def _read_owl(
    model: Any, processor: Any, images: list[Any], asked: list[list[str]], device: torch.device
) -> Read:
    tokenizer, most = processor.tokenizer, max(map(len, asked))
    length = model.config.text_config.max_position_embeddings
    shape = (len(asked), most, length)
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    mask[..., 0] = 1  # A row of zeros is a query that is not there; attention wants one token.
    for at, texts in enumerate(asked):
        told = [f"a photo of a {text}" for text in texts]
        read = tokenizer(
            told, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        ids[at, : len(texts)], mask[at, : len(texts)] = read["input_ids"], read["attention_mask"]
    pixels = processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
    found = model(
        input_ids=ids.flatten(0, 1).to(device),
        attention_mask=mask.flatten(0, 1).to(device),
        pixel_values=pixels.to(device),
    )
    # OWLv2 pads pictures to squares, OWL-ViT stretches them.
    square = model.config.model_type == "owlv2"
    sizes = [(max(i.size), max(i.size)) if square else i.size for i in images]
    return found.logits.sigmoid(), _scaled(found.pred_boxes, sizes)


def _read_dino(
    model: Any, processor: Any, images: list[Any], asked: list[list[str]], device: torch.device
) -> Read:
    told = ["".join(f"{text.lower()}. " for text in texts).strip() for texts in asked]
    inputs = processor(images=images, text=told, padding=True, return_tensors="pt")
    stop = processor.tokenizer.convert_tokens_to_ids(".")
    special = set(processor.tokenizer.all_special_ids)
    found = model(**{key: value.to(device) for key, value in inputs.items()})
    chances = found.logits.sigmoid()
    scores = []
    for row, ids, texts in zip(chances, inputs["input_ids"].tolist(), asked, strict=True):
        spans: list[list[int]] = [[]]
        for place, token in enumerate(ids):
            if token == stop:
                spans.append([])
            elif token not in special:
                spans[-1].append(place)
        if len(spans) <= len(texts):
            raise ScorerError(
                f"This detector reads {len(ids)} tokens at a time, and a prompt with "
                f"{len(texts)} things to look for has more: choose an OWLv2."
            )
        scores.append(torch.stack([row[:, span].amax(dim=1) for span in spans[: len(texts)]], 1))
    return scores, _scaled(found.pred_boxes, [image.size for image in images])


def _scaled(boxes: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> torch.Tensor:
    """From shares of (width, height) to pixels."""
    return boxes * torch.tensor([[*size, *size] for size in sizes], device=boxes.device)[:, None]


_READERS = {
    "owlv2": (_read_owl, 0.2),
    "owlvit": (_read_owl, 0.1),
    "grounding-dino": (_read_dino, 0.3),
    "mm-grounding-dino": (_read_dino, 0.3),
}
"""How to read a kind of detector, and from which score on its boxes count."""
