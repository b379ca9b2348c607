"""What a vision-language model thinks of an answer, given a picture and a question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from ..scorer import ScorerError
from . import pretrained
from .managed import Managed, default_dtype

if TYPE_CHECKING:
    from ..scorer import Picture

_ADDS_IMAGE_ITSELF = ("blip-2", "instructblip")
_PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""Inputs with an entry a token, which grow with an answer. The kinds of tokens are 0 for text."""
_MEMORY = 1 << 30
"""Bytes that a picture may take besides the weights, mostly as tokens' chances."""


class VisionLanguage:
    """Any model of transformers' AutoModelForImageTextToText, from its folder."""

    def __init__(self, path: Path) -> None:
        self._model, self._processor = pretrained.read(
            "AutoModelForImageTextToText", path, default_dtype()
        )
        self._managed = Managed(self._model)
        self._tokenizer = self._processor.tokenizer
        # Behind the text, padding is never seen by what comes before: a batch changes nothing.
        self._tokenizer.padding_side = "right"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def first_token(self, pictures: Sequence[Picture], questions: Sequence[str]) -> torch.Tensor:
        """(B, vocabulary): the chances of the answers' first tokens."""
        return self._logits(pictures, questions, [[]] * len(questions), 1)[:, 0].softmax(dim=-1)

    def likelihood(
        self, pictures: Sequence[Picture], questions: Sequence[str], answers: Sequence[str]
    ) -> list[float]:
        """Mean log-likelihood of each answer's tokens, in nats; at most 0."""
        told = [self._tokenizer(a, add_special_tokens=False)["input_ids"] for a in answers]
        if not all(told):
            raise ScorerError("An empty text has no likelihood: give every picture a text.")
        longest = max(map(len, told))
        logits = self._logits(pictures, questions, told, longest).log_softmax(dim=-1)
        return [
            float(row[torch.arange(len(ids)), torch.tensor(ids)].mean())
            for row, ids in zip(logits.cpu(), told, strict=True)
        ]

    def words(self, word: str) -> list[int]:
        """The tokens that are this word alone, however written. Raises ScorerError for none."""
        found = set()
        for written in (word.lower(), word.title()):
            for text in (written, f" {written}"):
                ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
                if len(ids) == 1 and self._tokenizer.decode(ids).strip() == written:
                    found.add(ids[0])
        if not found:
            raise ScorerError(f'This model has no single token for "{word}": choose another.')
        return sorted(found)

    @torch.inference_mode()
    def _logits(
        self,
        pictures: Sequence[Picture],
        questions: Sequence[str],
        answers: Sequence[Sequence[int]],
        count: int,
    ) -> torch.Tensor:
        """(B, count, vocabulary) float32: what comes first after the question, and after each
        token of the answer."""
        device = self._managed.ready(len(pictures) * _MEMORY)
        inputs = self._inputs(pictures, questions)
        if self._model.config.is_encoder_decoder:
            start = self._model.config.decoder_start_token_id
            if start is None:
                start = self._model.generation_config.decoder_start_token_id
            rows = [torch.tensor([start, *answer]) for answer in answers]
            padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            inputs["decoder_input_ids"], begins = padded, [0] * len(rows)
        else:
            begins = [int(mask.sum()) - 1 for mask in inputs["attention_mask"]]
            inputs |= self._with_answers(inputs, answers)
        inputs = {key: _moved(value, device, self._model.dtype) for key, value in inputs.items()}
        logits = self._model(**inputs).logits
        rows = [logits[at, begin : begin + count] for at, begin in enumerate(begins)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).float()

    def _inputs(self, pictures: Sequence[Picture], questions: Sequence[str]) -> dict[str, Any]:
        images: list[Any] = [Image.fromarray(picture) for picture in pictures]
        if self._model.config.model_type not in _ADDS_IMAGE_ITSELF:
            images = [[image] for image in images]
        texts = [self._asked(question) for question in questions]
        return dict(self._processor(text=texts, images=images, padding=True, return_tensors="pt"))

    def _asked(self, question: str) -> str:
        if getattr(self._processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": question}]
            turns = [{"role": "user", "content": content}]
            return self._processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=False
            )
        if self._model.config.model_type in _ADDS_IMAGE_ITSELF:
            return f"Question: {question} Answer:"
        return f"{getattr(self._processor, 'image_token', '<image>')}\n{question}\n"

    def _with_answers(
        self, inputs: dict[str, Any], answers: Sequence[Sequence[int]]
    ) -> dict[str, torch.Tensor]:
        """The inputs with an entry a token, each row's answer right behind its question."""
        lengths = [int(mask.sum()) for mask in inputs["attention_mask"]]
        grown = {}
        for key in set(_PER_TOKEN) & set(inputs):
            rows = []
            for row, length, answer in zip(inputs[key], lengths, answers, strict=True):
                more = {"input_ids": answer, "attention_mask": [1] * len(answer)}
                end = torch.tensor(more.get(key, [0] * len(answer)), dtype=row.dtype)
                rows.append(torch.cat([row[:length], end]))
            empty = self._tokenizer.pad_token_id if key == "input_ids" else 0
            grown[key] = torch.nn.utils.rnn.pad_sequence(
                rows, batch_first=True, padding_value=empty
            )
        return grown


def _moved(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    if not torch.is_tensor(value):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)
