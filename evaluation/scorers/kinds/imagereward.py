"""ImageReward (Xu et al., arXiv 2304.05977): a BLIP tuned on people's rankings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...trial import Prompt
from ..kind import Kind, Weights
from ..scorer import ScorerError
from ..weights import sha256

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = "(reward - 0.1672) / 1.0333, about -2.3 to 2; people's preference"
LENGTH = 35
VOCABULARY = "vocab.txt"
WEIGHTS = Weights(("ImageReward.pt",), "THUDM/ImageReward", "ImageReward.pt, 1.8 GB", "Apache-2.0")


class ImageReward:
    """path: the authors' file, with bert-base-uncased's vocab.txt beside it."""

    name, unit, batch, needs_expected = "imagereward", UNIT, 8, False

    def __init__(self, path: Path) -> None:
        from ..models.managed import Managed
        from ..models.pixels import Pixels

        vocabulary = path.with_name(VOCABULARY)
        if not vocabulary.is_file():
            raise ScorerError(
                f"{path.name} needs the words of bert-base-uncased: download {VOCABULARY} from "
                f"huggingface.co/google-bert/bert-base-uncased (232 kB) and put it into "
                f"{path.parent}."
            )
        self._tokenizer = _tokenizer(vocabulary)
        self._model = _model(path)
        self._managed, self._pixels = (
            Managed(self._model),
            Pixels(self._model.image_size, rounded=True),
        )
        self._cut: set[str] = set()
        hashes = sha256(path) + sha256(vocabulary)
        self.weights_sha256 = hashlib.sha256(hashes.encode()).hexdigest()

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`."""
        import torch

        read = self._tokenizer.encode_batch(list(texts))
        self._cut |= {text for text, one in zip(texts, read, strict=True) if one.overflowing}
        tokens = torch.tensor([one.ids for one in read])
        mask = torch.tensor([one.attention_mask for one in read])
        with torch.inference_mode():
            device = self._managed.ready()
            inputs = (self._pixels(pictures), tokens, mask)
            return self._model(*(each.to(device) for each in inputs)).tolist()

    def notes(self) -> list[str]:
        """How many texts were cut at 35 tokens."""
        return [f"{len(self._cut)} texts were cut: only {LENGTH} tokens count."] * bool(self._cut)


def _tokenizer(vocabulary: Path):
    from tokenizers import BertWordPieceTokenizer

    made = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
    made.enable_truncation(LENGTH)
    made.enable_padding(length=LENGTH, pad_id=made.token_to_id("[PAD]"))
    return made


def _model(path: Path):
    import comfy.utils

    from ..models.blip_reward import BlipReward

    try:
        state = comfy.utils.load_torch_file(str(path), safe_load=True)
        return BlipReward({key: value.float() for key, value in state.items()})
    except Exception as error:  # whatever readers of damaged or strange files raise
        told = " ".join(str(error).split())[:200]
        raise ScorerError(f"{path} is no ImageReward ({told}).") from error


KIND = Kind("imagereward", UNIT, ImageReward, WEIGHTS)
