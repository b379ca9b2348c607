"""CLIP by ComfyUI's parts and by transformers, PickScore, HPSv2: equal to the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_softrepa.evaluation.scorers import ScorerError, load
from comfyui_softrepa.evaluation.scorers.models.clip_weights import Texts
from comfyui_softrepa.evaluation.scorers.models.comfy_clip import ComfyClip
from comfyui_softrepa.evaluation.scorers.models.pixels import Pixels
from comfyui_softrepa.tests.evaluation.scorers import tiny
from transformers import CLIPImageProcessor

TEXTS = ["a red apple", "(two:1.4) dogs, [three] cats", "", "word " * 200]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clip")


@pytest.fixture(scope="module")
def reference(folder):
    """transformers' own model."""
    return tiny.clip(folder)


def cosines(model, pictures, texts, pixels) -> np.ndarray:
    """By the reference's forward and CLIP's own tokenizer, cutting as that one cuts."""
    from comfyui_softrepa.evaluation.scorers.models import clip_weights

    told = clip_weights._tokenizer()(
        texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        found = model(input_ids=told["input_ids"], pixel_values=pixels)
    return (found.text_embeds * found.image_embeds).sum(dim=-1).numpy()


def test_comfyuis_parts_agree_on_equal_pixels(folder, reference):
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    ours, texts = ComfyClip.read(folder), Texts()
    seen, read = ours.embed_pixels(pixels), ours.embed_tokens(texts.tokens(TEXTS))
    found = torch.nn.functional.cosine_similarity(seen, read).numpy()
    assert found == pytest.approx(cosines(reference, None, TEXTS, pixels), abs=1e-5)
    assert np.ptp(found) > 0.05
    assert texts.notes() == ["1 of 4 texts were cut: only 77 tokens count."]


def test_every_convention_and_every_size_of_batch(folder, reference):
    pictures = tiny.pictures(4)
    expected = cosines(reference, pictures, TEXTS, Pixels(32)(pictures))
    assert expected.min() < 0 < expected.max()
    for name, number in (
        ("clip", 100 * expected),
        ("clip_positive", 100 * expected.clip(min=0)),
        ("clip_2.5", 2.5 * expected.clip(min=0)),
        ("hpsv2", expected),
        ("pickscore", reference.logit_scale.exp().item() * expected),
    ):
        scorer = load(name, str(folder))
        assert scorer.score(pictures, TEXTS) == pytest.approx(number, abs=2e-4)
        alone = [scorer.score([p], [t])[0] for p, t in zip(pictures, TEXTS, strict=True)]
        assert alone == pytest.approx(number, abs=2e-4)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (32, 32), (50, 91), (91, 50), (20, 24)])
def test_pixels_are_those_of_transformers_processor(height, width):
    given = tiny.pictures(2, height, width)
    own = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    theirs = own(given, return_tensors="pt")["pixel_values"]
    # Newer processors resize by torchvision, which rounds a few pixels to the next byte.
    assert (Pixels(32)(given) - theirs).abs().max() < 2.01 / 255 / 0.26


def test_an_open_clip_file_is_the_same_model(folder, reference, tmp_path, monkeypatch):
    from comfyui_softrepa.evaluation.scorers.models import clip_weights

    path = tmp_path / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": tiny.as_open_clip(reference)}, path)
    monkeypatch.setattr(clip_weights, "_config", lambda *_: reference.config)
    pictures = tiny.pictures(4)
    expected = cosines(reference, pictures, TEXTS, Pixels(32)(pictures))
    assert load("hpsv2", str(path)).score(pictures, TEXTS) == pytest.approx(expected, abs=1e-5)
    assert load("clip", str(path)).score(pictures, TEXTS) == pytest.approx(100 * expected, abs=1e-3)


@pytest.mark.parametrize("key", ["text_projection.weight", "visual_projection.weight"])
def test_a_file_without_a_projection_is_refused(folder, reference, tmp_path, key):
    (tmp_path / "clip").symlink_to(folder)
    without = tiny.without(tmp_path / "clip", key)
    for name in ("clip", "pickscore", "hpsv2"):
        with pytest.raises(ScorerError, match=r"Take a whole CLIP"):
            load(name, str(without))


def test_a_weight_that_is_missing_is_never_left_to_chance(folder, reference, tmp_path):
    (tmp_path / "clip").symlink_to(folder)
    without = tiny.without(tmp_path / "clip", "vision_model.encoder.layers.1.mlp.fc1.bias")
    for name in ("clip", "pickscore"):
        with pytest.raises(ScorerError, match=r"lacks .*layers\.1\.mlp\.fc1\.bias"):
            load(name, str(without))


def test_what_is_no_clip_is_refused(tmp_path):
    path = tmp_path / "noise.safetensors"
    path.write_bytes(b"noise")
    with pytest.raises(ScorerError, match="cannot be read"):
        load("clip", str(path))
    with pytest.raises(ScorerError, match=r"openai/clip-vit-large-patch14 \(1\.7 GB"):
        load("clip", str(tmp_path / "nowhere.safetensors"))
