"""Many captions at a time give what ComfyUI gives one at a time; and they are data, not prompts."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.supported_models_base
import folder_paths
import pytest
import torch
from comfy import sd1_clip, sdxl_clip
from comfy.text_encoders import sd2_clip, sd3_clip
from comfyui_softrepa.training.model import captions
from comfyui_softrepa.training.model.captions import Captions

SMALL = {"num_hidden_layers": 3, "intermediate_size": 64}
"""Real widths, so that the parts fit together, and little else."""
CAPTIONS = [
    "",
    "a red cat",
    "two dogs (small) on a bench",
    "a blue cup",
    "a cat, " * 40,
    "a, " * 45,
]
KINDS = {
    "SD1.x": (sd1_clip.SD1Tokenizer, sd1_clip.SD1ClipModel),
    "SD2.x": (sd2_clip.SD2Tokenizer, sd2_clip.SD2ClipModel),
    "SDXL": (sdxl_clip.SDXLTokenizer, sdxl_clip.SDXLClipModel),
    "SD3": (sd3_clip.SD3Tokenizer, sd3_clip.sd3_clip()),
}


def clip_of(kind: str) -> comfy.sd.CLIP:
    """A text encoder of random weights."""
    tokenizer, model = KINDS[kind]
    options = {f"{name}_model_config": SMALL for name in ("clip_l", "clip_g", "clip_h")}
    options["t5xxl_model_config"] = {"num_layers": 1, "d_ff": 64, "num_heads": 2}
    made = comfy.sd.CLIP(
        comfy.supported_models_base.ClipTarget(tokenizer, model),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        model_options=options,
    )
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)) * 0.05
    for parameter in made.cond_stage_model.parameters():
        values = parameter.data.view(-1)
        for start in range(0, len(values), len(noise)):
            part = values[start : start + len(noise)]
            part.copy_(noise[: len(part)] + (parameter.ndim == 1))
    return made


ABSENT = {"SD3": ([], ["clip_l"], ["t5xxl"], ["clip_l", "clip_g"])}
"""SD3 goes with some of its encoders."""


@pytest.mark.parametrize("kind", KINDS)
def test_many_give_what_one_gives(kind: str) -> None:
    clip = clip_of(kind)
    model = clip.cond_stage_model
    for absent in ABSENT.get(kind, ([],)):
        taken = {name: getattr(model, name) for name in absent}
        for name in absent:
            setattr(model, name, None)
        together = Captions(clip)
        many = together.embed(CAPTIONS * 2)
        assert together._together
        one_by_one = []
        for caption in CAPTIONS:
            written = caption.replace("(", r"\(").replace(")", r"\)")
            one_by_one += clip.encode_from_tokens_scheduled(clip.tokenize(written))
        for (context, extra), text in zip(one_by_one * 2, many, strict=True):
            assert torch.equal(text.context, context[0].float())
            assert torch.equal(text.pooled, extra["pooled_output"][0].float())
        for name, encoder in taken.items():
            setattr(model, name, encoder)


def test_parentheses_are_letters() -> None:
    made = Captions(clip_of("SD1.x"))
    letters, escaped, weighted, plain = (
        made.embed([text])[0].context
        for text in (
            "miku (vocaloid)",
            r"miku \(vocaloid\)",
            "miku (vocaloid:1.3)",
            "miku vocaloid",
        )
    )
    assert torch.equal(letters, escaped)
    assert not torch.equal(letters, plain) and not torch.equal(letters, weighted)


def test_an_encoder_that_differs_in_batches_is_asked_one_by_one(monkeypatch, caplog) -> None:
    clip = clip_of("SD1.x")
    honest = Captions(clip).embed(CAPTIONS[:4])
    encode = captions._encode

    def other(encoder, rows):
        context, pooled = encode(encoder, rows)
        return context + 1, pooled

    monkeypatch.setattr(captions, "_encode", other)
    texts = Captions(clip).embed(CAPTIONS[:4])
    assert "one by one" in caplog.text
    for text, right in zip(texts, honest, strict=True):
        assert torch.equal(text.context, right.context)


def test_embeddings_go_alone(tmp_path: Path) -> None:
    clip = clip_of("SD1.x")
    torch.save({"string_to_param": {"*": torch.ones(2, 768)}}, tmp_path / "mine.pt")
    clip.tokenizer.clip_l.embedding_directory = [str(tmp_path)]
    texts = Captions(clip).embed(["a embedding:mine cat", "a red cat", "a blue cat"])
    [[context, _]] = clip.encode_from_tokens_scheduled(clip.tokenize("a embedding:mine cat"))
    assert torch.equal(texts[0].context, context[0].float())
