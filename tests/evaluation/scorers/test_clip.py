"""CLIP by ComfyUI's parts and by transformers, PickScore, HPSv2: equal to the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_softrepa.evaluation.scorers import ScorerError, load
from comfyui_softrepa.evaluation.scorers.models.clip_weights import Texts
from comfyui_softrepa.evaluation.scorers.models.comfy_clip import ComfyClip
from comfyui_softrepa.evaluation.scorers.models.pixels import Pixels
from comfyui_softrepa.tests.evaluation.scorers import tiny
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

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


@pytest.mark.parametrize(
    ("text", "vision", "patch", "size", "act"),
    [
        ((512, 12, 8), (768, 12, 12), 32, 224, "quick_gelu"),  # openai/clip-vit-base-patch32
        ((768, 12, 12), (1024, 24, 16), 14, 224, "quick_gelu"),  # openai/clip-vit-large-patch14
        ((768, 12, 12), (1024, 24, 16), 14, 336, "quick_gelu"),
        ((1024, 24, 16), (1280, 32, 16), 14, 224, "gelu"),  # PickScore, HPSv2: ViT-H/14
        ((1280, 32, 20), (1664, 48, 16), 14, 224, "gelu"),  # ViT-bigG/14
    ],
)
def test_a_bare_file_of_a_published_size_is_known_by_its_shapes(text, vision, patch, size, act):
    from comfyui_softrepa.evaluation.scorers.models import clip_weights

    names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    parts = [
        {**dict(zip(names, part, strict=True)), "hidden_act": act,
         "intermediate_size": 8192 if part[0] == 1664 else 4 * part[0]}
        for part in (text, vision)
    ]  # fmt: skip
    parts[1] |= {"patch_size": patch, "image_size": size}
    config = CLIPConfig(text_config=parts[0], vision_config=parts[1], projection_dim=text[0])
    with torch.device("meta"):
        state = CLIPModel(config).state_dict()
    found = clip_weights._config(Path("model.safetensors"), state)
    assert found.projection_dim == config.projection_dim
    for part, given in zip((found.text_config, found.vision_config), parts, strict=True):
        assert {name: getattr(part, name) for name in given} == given


def test_what_is_no_clip_is_refused(tmp_path):
    path = tmp_path / "noise.safetensors"
    path.write_bytes(b"noise")
    with pytest.raises(ScorerError, match="cannot be read"):
        load("clip", str(path))
    with pytest.raises(ScorerError, match="cannot be read"):
        load("clip", str(tmp_path))
    with pytest.raises(ScorerError, match=r"openai/clip-vit-large-patch14 \(1\.7 GB"):
        load("clip", str(tmp_path / "nowhere.safetensors"))
