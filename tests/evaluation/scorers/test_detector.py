"""The rules on objects, and both kinds of detectors against transformers' own reading of them."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.evaluation.scorers import ScorerError, load
from comfyui_softrepa.evaluation.scorers.models.detection import Detector
from comfyui_softrepa.evaluation.scorers.objects import (
    COLOURS,
    Found,
    apart,
    failures,
    queries,
    relations,
)
from comfyui_softrepa.evaluation.trial import Prompt
from comfyui_softrepa.tests.evaluation.scorers import tiny, tiny_detectors
from PIL import Image


def box(name: str, x: float, y: float, colour: str | None = None, score: float = 0.9) -> Found:
    """Of 20 by 20 around a centre."""
    return Found(name, colour, score, (x - 10, y - 10, x + 10, y + 10))


APPLE, DOG = {"class": "apple", "count": 1}, {"class": "dog", "count": 1}


@pytest.mark.parametrize(
    ("found", "expected", "excluded", "wrong"),
    [
        ([box("apple", 0, 0)], [APPLE], [], []),
        ([], [APPLE], [], ["object"]),
        ([box("apple", 0, 0)], [APPLE, DOG], [], ["object"]),
        ([box("apple", 0, 0)], [{"class": "apple", "count": 2}], [], ["number"]),
        ([box("apple", 30 * n, 0) for n in range(3)], [{"class": "apple", "count": 2}],
         [{"class": "apple", "count": 3}], ["number"]),
        ([box("apple", 30 * n, 0) for n in range(2)], [{"class": "apple", "count": 2}],
         [{"class": "apple", "count": 3}], []),
        ([box("apple", 0, 0, "red")], [{**APPLE, "color": "red"}], [], []),
        ([box("apple", 0, 0, "red")], [{**APPLE, "color": "blue"}], [], ["colour"]),
        ([box("apple", 0, 0, "blue"), box("dog", 50, 0, "red")],
         [{**APPLE, "color": "red"}, {**DOG, "color": "blue"}], [], ["colour"]),
        ([box("apple", 0, 0), box("dog", 50, 0)],
         [DOG, {**APPLE, "position": ["left of", 0]}], [], []),
        ([box("apple", 0, 0), box("dog", 50, 0)],
         [DOG, {**APPLE, "position": ["right of", 0]}], [], ["position"]),
        ([box("apple", 0, 0)], [DOG, {**APPLE, "position": ["left of", 0]}], [],
         ["object", "position"]),
        ([box("apple", 0, 0), box("dog", 3, 2)],
         [DOG, {**APPLE, "position": ["left of", 0]}], [], ["position"]),
    ],
)  # fmt: skip
def test_what_is_wrong(found, expected, excluded, wrong):
    assert failures(found, expected, excluded) == wrong


def test_only_the_surest_are_held_in_place():
    """A second, doubtful dog elsewhere does not spoil where the first one lies."""
    found = [box("apple", 0, 0), box("dog", 50, 0), box("dog", -50, 0, score=0.4)]
    assert failures(found, [DOG, {**APPLE, "position": ["left of", 0]}]) == []


def test_directions_and_piles():
    assert relations(box("a", 0, 0), box("b", 0, 50)) == {"above"}
    assert relations(box("a", 60, 60), box("b", 0, 0)) == {"right of", "below"}
    assert relations(box("a", 60, 10), box("b", 0, 0)) == {"right of"}
    pile = [box("a", 0, 0, score=0.5), box("a", 2, 0), box("b", 1, 0), box("a", 15, 0)]
    assert apart(pile) == [pile[1], pile[2], pile[3]]


def test_colours_are_asked_where_they_matter():
    asked = queries([{**APPLE, "color": "red"}, DOG], [{"class": "apple", "count": 2}])
    assert asked == [*(("apple", colour) for colour in COLOURS), ("dog", None)]


QUERIES = [[("apple", None), ("dog", None), ("cup", None)], [("red apple", None)]]


@pytest.fixture(scope="module")
def owl(tmp_path_factory):
    folder = tmp_path_factory.mktemp("owl")
    return tiny_detectors.owl(folder), folder


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    return tiny_detectors.dino(folder), folder


def as_found(result: dict, texts: list[str]) -> list[Found]:
    """transformers' own post-processing of one picture, as ours."""
    return apart(
        Found(texts[int(label)] if torch.is_tensor(label) else label, None, float(score),
              tuple(map(float, corners)))
        for label, score, corners in zip(
            result["labels"], result["scores"], result["boxes"], strict=True)
    )  # fmt: skip


def same(ours: list[Found], theirs: list[Found]) -> None:
    assert [each.name for each in ours] == [each.name for each in theirs] != []
    for one, other in zip(ours, theirs, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.box == pytest.approx(other.box, abs=0.05)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64)])
def test_owl_reads_as_transformers_does(owl, height, width):
    from transformers import Owlv2Processor

    model, folder = owl
    pictures = tiny.pictures(2, height, width)
    detector = Detector(folder)
    detector.threshold = 0.4
    found = detector.find(pictures, QUERIES)
    processor = Owlv2Processor.from_pretrained(folder)
    for picture, asked, ours in zip(pictures, QUERIES, found, strict=True):
        texts = [f"a photo of a {name}" for name, _ in asked]
        inputs = processor(text=[texts], images=Image.fromarray(picture), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        result = processor.post_process_grounded_object_detection(
            outputs, threshold=0.4, target_sizes=[(height, width)]
        )
        same(ours, as_found(result[0], [name for name, _ in asked]))


def test_dino_reads_as_transformers_does(dino):
    from transformers import GroundingDinoProcessor

    model, folder = dino
    pictures = tiny.pictures(2, 64, 80)
    detector = Detector(folder)
    detector.threshold = 0.0
    found = detector.find(pictures, QUERIES)
    processor = GroundingDinoProcessor.from_pretrained(folder)
    for picture, asked, ours in zip(pictures, QUERIES, found, strict=True):
        text = " ".join(f"{name}." for name, _ in asked)
        inputs = processor(text=text, images=Image.fromarray(picture), return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        tokens = processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        spans = [[at for at, t in enumerate(tokens) if t in name.split()] for name, _ in asked]
        chances = outputs.logits[0].sigmoid()
        scores = torch.stack([chances[:, span].amax(dim=1) for span in spans], dim=1)
        boxes = processor.image_processor.post_process_object_detection(
            # It drops the last kind, which stands for nothing in other detectors.
            outputs,
            threshold=-1.0,
            target_sizes=[(64, 80)],
        )[0]["boxes"]
        best, which = scores.max(dim=1)
        result = {"scores": best, "labels": which, "boxes": boxes}
        same(ours, as_found(result, [name for name, _ in asked]))


@pytest.mark.parametrize("kind", ["owl", "dino"])
def test_a_batch_changes_nothing(kind, request):
    folder = request.getfixturevalue(kind)[1]
    detector, pictures = Detector(folder), tiny.pictures(2, 64, 64)
    detector.threshold = 0.3 if kind == "owl" else 0.0
    together = detector.find(pictures, QUERIES)
    for picture, asked, found in zip(pictures, QUERIES, together, strict=True):
        same(found, detector.find([picture], [asked])[0])


def test_a_prompt_passes_or_fails(owl):
    scorer = load("detector", str(owl[1]))
    scorer._detector.find = lambda pictures, asked: [[box("apple", 9, 9)]] * len(pictures)
    prompts = [Prompt("a", "an apple", expected=(APPLE,)), Prompt("b", "a dog", expected=(DOG,))]
    texts = [prompt.text for prompt in prompts]
    assert scorer.score(tiny.pictures(2), texts, prompts) == [1.0, 0.0]
    assert scorer.notes() == ["Of 2 pictures wrong by the detector: object 1."]
    with pytest.raises(ScorerError, match="expected objects"):
        scorer.score(tiny.pictures(2), texts)
