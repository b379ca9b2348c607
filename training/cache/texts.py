"""Captions as entries of the cache, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..errors import BadInput
from . import compact
from .encoding import Encoder, Text

TOGETHER = 32
"""Handed to the encoder at once, for it to embed many together; they wait in memory meanwhile."""
_KEPT = 256 << 20
"""Bytes of texts that are kept after they were drawn, as validation asks for the same ones."""

Entry = tuple[dict[str, Any], dict[str, Tensor]]
"""What a shard says of an entry, and its tensors by name."""


def embeddings(captions: Sequence[str], encoder: Encoder, bits: int = 16) -> Iterator[Entry]:
    """Each caption as it is stored. Raises BadInput where an encoder gives NaN."""
    for start in range(0, len(captions), TOGETHER):
        some = captions[start : start + TOGETHER]
        for caption, text in zip(some, encoder.texts(some), strict=True):
            yield _embedding(caption, text, encoder, bits)


def _embedding(caption: str, text: Text, encoder: Encoder, bits: int) -> Entry:
    context = text.context.float().cpu()
    parts = compact.segments(context)
    tensors: dict[str, Tensor] = {}
    try:
        for number, (top, bottom, left, right) in enumerate(parts):
            part = compact.halved(context[top:bottom, left:right])
            if bits == 8:
                part, tensors[f".{number}.scale"] = compact.quartered(part.float())
            tensors[f".{number}"] = part
        if text.pooled is not None:
            tensors[".pooled"] = compact.halved(text.pooled.float().cpu())
        tensors |= {f".more.{name}": _stored(tensor.cpu()) for name, tensor in text.more.items()}
    except ValueError:
        raise BadInput(
            f'The text encoder of {encoder.name} gives NaN for "{caption}"; use an '
            "undamaged checkpoint."
        ) from None
    about = {
        "shape": list(context.shape),
        "segments": [list(part) for part in parts],
        "pooled": text.pooled is not None,
        "more": sorted(text.more),
        **({"bits": bits} if bits != 16 else {}),
    }
    return about, tensors


def names(about: Mapping[str, Any]) -> list[str]:
    """Of an entry's tensors."""
    found = [f".{number}" for number in range(len(about["segments"]))]
    found += [f"{name}.scale" for name in found] if about.get("bits") == 8 else []
    found += [".pooled"] if about["pooled"] else []
    return [*found, *(f".more.{name}" for name in about.get("more", ()))]


def restored(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Text:
    """The text that an entry was made of, as far as its bits tell."""
    parts = []
    for number, segment in enumerate(about["segments"]):
        part = tensors[f".{number}"]
        if about.get("bits") == 8:
            part = compact.whole(part, tensors[f".{number}.scale"])
        parts.append((segment, part))
    pooled = tensors[".pooled"].float() if about["pooled"] else None
    more = {name: _as_used(tensors[f".more.{name}"]) for name in about.get("more", ())}
    return Text(compact.restored(about["shape"], parts), pooled, more)


def _stored(tensor: Tensor) -> Tensor:
    """Numbers of words and masks as they are."""
    return compact.halved(tensor) if tensor.is_floating_point() else tensor.contiguous()


def _as_used(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


class Drawn:
    """Texts that are embedded when they are drawn, with the bits that the cache would give.

    To be called by the thread that trains: the encoder shares the device with the model.
    """

    def __init__(self, encoder: Encoder, bits: int = 16) -> None:
        self._encoder, self._bits = encoder, bits
        self._kept: dict[str, Entry] = {}
        self._size = 0

    def __call__(self, captions: Sequence[str]) -> list[Text]:
        """The captions' texts; those that were not drawn lately go through the encoder together."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._kept]
        for caption, entry in zip(new, embeddings(new, self._encoder, self._bits), strict=True):
            self._kept[caption] = entry
            self._size += size(entry)
        for caption in captions:  # the latest last
            self._kept[caption] = self._kept.pop(caption)
        found = [restored(*self._kept[caption]) for caption in captions]
        while self._size > _KEPT:
            self._size -= size(self._kept.pop(next(iter(self._kept))))
        return found


def size(entry: Entry) -> int:
    """Bytes of an entry's tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in entry[1].values())
