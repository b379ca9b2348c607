"""SigLIP, ImageReward and vision-language models against a computation of their own, small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_softrepa.evaluation.scorers import ScorerError, load
from comfyui_softrepa.tests.evaluation.scorers import reward, tiny
from PIL import Image

TEXTS = ["a red apple", "two dogs and the cup", "a", "three blue cup and two red apple"]


def alone(scorer, pictures, texts=TEXTS) -> list[float]:
    """One picture a call."""
    return [scorer.score([p], [t])[0] for p, t in zip(pictures, texts, strict=True)]


def test_siglip_is_the_chance_of_the_pair(tmp_path):
    model = tiny.siglip(tmp_path / "siglip")
    scorer, pictures = load("siglip2", str(tmp_path / "siglip")), tiny.pictures(4)
    found = scorer.score(pictures, TEXTS)
    told = tiny.tokenizer()(
        TEXTS, padding="max_length", max_length=64, truncation=True, return_tensors="pt"
    )
    small = [np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BICUBIC))
             for p in pictures]  # fmt: skip
    pixels = torch.tensor(np.stack(small)).movedim(-1, 1) / 127.5 - 1
    with torch.no_grad():
        logits = model(input_ids=told["input_ids"], pixel_values=pixels).logits_per_image
    given = torch.logit(torch.tensor(found, dtype=torch.float64)).numpy()
    assert given == pytest.approx(logits.diagonal().tolist(), abs=0.2)
    assert np.ptp(given) > 1
    assert alone(scorer, pictures) == pytest.approx(found, abs=1e-5)
    assert scorer.score(pictures[:1], ["A RED Apple"]) == pytest.approx(found[:1], abs=1e-5)
    assert scorer.notes() == []
    scorer.score(pictures[:1], ["a red apple " * 40])
    assert scorer.notes() == ["1 texts were cut: only 64 tokens count."]


def test_image_reward_is_the_published_network(tmp_path):
    state = reward.write(tmp_path)
    scorer = load("imagereward", str(tmp_path / "ImageReward.pt"))
    pictures = tiny.pictures(4, 48, 70)
    found = scorer.score(pictures, TEXTS)
    words = (tmp_path / "vocab.txt").read_text().split()
    assert found == pytest.approx(reward.rewards(state, words, pictures, TEXTS), abs=1e-4)
    assert np.ptp(found) > 0.05
    assert alone(scorer, pictures) == pytest.approx(found, abs=1e-5)
    assert scorer.notes() == []
    scorer.score(pictures[:1], ["a red apple " * 20])
    assert scorer.notes() == ["1 texts were cut: only 35 tokens count."]


def test_image_reward_says_what_is_missing(tmp_path):
    reward.write(tmp_path)
    torch.save({"blip.visual_encoder.norm.weight": torch.ones(4)}, tmp_path / "other.pt")
    with pytest.raises(ScorerError, match="is no ImageReward"):
        load("imagereward", str(tmp_path / "other.pt"))
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ScorerError, match=r"vocab\.txt from huggingface\.co/google-bert"):
        load("imagereward", str(tmp_path / "ImageReward.pt"))


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    return tiny.llava(folder), folder


def last_logits(model, processor, picture, text) -> torch.Tensor:
    """(T, V) log-chances by the model's own forward on one row without padding."""
    inputs = processor(text=text, images=Image.fromarray(picture), return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits[0].log_softmax(dim=-1), inputs["input_ids"][0]


def test_vqa_is_the_chance_of_yes(llava):
    from transformers import AutoProcessor

    model, folder = llava
    processor = AutoProcessor.from_pretrained(folder)
    scorer, pictures = load("vqa", str(folder)), tiny.pictures(4)
    found = scorer.score(pictures, TEXTS)
    yes = [processor.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "Yes")]
    for value, picture, text in zip(found, pictures, TEXTS, strict=True):
        asked = f'Does this figure show "{text}"? Please answer yes or no.'
        logits, _ = last_logits(model, processor, picture, f"USER : <image> {asked} ASSISTANT :")
        assert value == pytest.approx(float(logits[-1, yes].exp().sum()), rel=1e-4)
    assert alone(scorer, pictures) == pytest.approx(found, rel=1e-4)


def test_the_likelihood_is_of_the_text_alone(llava):
    from transformers import AutoProcessor

    model, folder = llava
    processor = AutoProcessor.from_pretrained(folder)
    scorer, pictures = load("vqa_likelihood", str(folder)), tiny.pictures(4)
    found = scorer.score(pictures, TEXTS)
    for value, picture, text in zip(found, pictures, TEXTS, strict=True):
        asked = f"USER : <image> Describe this picture in one sentence. ASSISTANT : {text}"
        logits, ids = last_logits(model, processor, picture, asked)
        count = len(text.split())
        told = logits[-count - 1 : -1].gather(1, ids[-count:, None])
        assert value == pytest.approx(float(told.mean()), rel=1e-4)
    assert alone(scorer, pictures) == pytest.approx(found, rel=1e-4)
    with pytest.raises(ScorerError, match="empty text"):
        scorer.score(pictures[:1], [""])


def test_pictures_of_any_size_in_one_batch(tmp_path):
    """Each is as many tokens as it is large, and padding tells nothing."""
    tiny.qwen(tmp_path)
    pictures = [*tiny.pictures(2), *tiny.pictures(1, 32, 64), *tiny.pictures(1, 64, 40)]
    for name in ("vqa", "vqa_likelihood"):
        scorer = load(name, str(tmp_path))
        found = scorer.score(pictures, TEXTS)
        assert alone(scorer, pictures) == pytest.approx(found, rel=1e-4)
        assert len(set(found)) == len(found)


def test_a_folder_of_another_model_is_one_sentence(tmp_path, llava):
    tiny.siglip(tmp_path / "siglip")
    for name, path in (("vqa", tmp_path / "siglip"), ("detector", tmp_path / "siglip"),
                       ("siglip2", tmp_path / "siglip" / "model.safetensors")):  # fmt: skip
        with pytest.raises(ScorerError) as refused:
            load(name, str(path))
        assert "\n" not in str(refused.value)
