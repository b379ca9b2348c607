"""Pictures with worse ones beside them: found, kept apart, framed alike."""

from __future__ import annotations

import json

import pytest
from comfyui_softrepa.training.data import Framing, alone, compared, find, plan
from comfyui_softrepa.training.errors import BadInput

from .stand_in import picture


def test_a_worse_picture_beside_its_better_one_is_none_of_the_pairs(tmp_path):
    for number, name in enumerate(("a.png", "b.jpg", "a.lose.png", "b.LOSE.png", "c.lose.png")):
        picture(tmp_path / name, number)
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"picture {name}")
    (tmp_path / "c.lose.txt").write_text("what nobody is better than is a picture as any other")
    pairs, report = find(tmp_path)
    assert {p.image.name: [w.name for w in p.worse] for p in pairs} == {
        "a.png": ["a.lose.png"],
        "b.jpg": ["b.LOSE.png"],
        "c.lose.png": [],
    }
    assert "worse pictures beside a better one: 2" in str(report)
    assert not report.uncaptioned

    captions_only = alone(pairs)
    assert captions_only.own == len(captions_only.pairs) == 3 and captions_only.worse is None
    pictures = compared(pairs)
    assert pictures.own == 2 and dict(pictures.follows) == {2: 0, 3: 1}
    assert [pair.image.name for pair in pictures.pairs] == [
        "a.png", "b.jpg", "a.lose.png", "b.LOSE.png",
    ]  # fmt: skip
    assert pictures.pairs[2].captions == pictures.pairs[0].captions


def test_a_list_of_verdicts(tmp_path):
    for number, name in enumerate("abc"):
        picture(tmp_path / "painted" / f"{name}.png", number)
    lines = [
        {"better": "painted/a.png", "worse": "painted/b.png", "text": "a hill"},
        {"better": "painted/a.png", "worse": "painted/c.png"},
        {"better": "painted/b.png", "worse": "painted/c.png", "text": "a lake"},
    ]
    list_ = tmp_path / "preferences.jsonl"
    list_.write_text("\n".join(map(json.dumps, lines)))
    pairs, _ = find(tmp_path)
    assert {p.image.name: (p.captions, [w.name for w in p.worse]) for p in pairs} == {
        "a.png": (("a hill",), ["b.png", "c.png"]),
        "b.png": (("a lake",), ["c.png"]),
    }
    for line, said in (
        ({"better": "painted/a.png"}, "line 1, is not an object such as"),
        ({"better": "painted/a.png", "worse": "gone.png"}, "line 1: there is no picture gone.png"),
    ):
        list_.write_text(json.dumps(line))
        with pytest.raises(BadInput, match=said):
            find(tmp_path)


def test_both_are_cropped_alike(tmp_path):
    wide, tall = (64, 32), (32, 64)
    sizes = {"a.png": wide, "a.lose.png": tall, "b.png": tall, "b.lose.png": tall}
    for number, (name, size) in enumerate(sizes.items()):
        picture(tmp_path / name, number, size)
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"picture {name}")
    found = compared(find(tmp_path)[0])
    framing = plan(found.pairs, Framing(32, True), [0, 1], [], 1, found.follows).framing
    shapes = [framing.read(pair.image).shape for pair in found.pairs]
    assert shapes[0] == shapes[2] and shapes[1] == shapes[3] and shapes[0] != shapes[1]


def test_without_any_the_message_says_what_to_do(tmp_path):
    for number, name in enumerate("ab"):
        picture(tmp_path / f"{name}.png", number)
        (tmp_path / f"{name}.txt").write_text(f"picture {name}")
    with pytest.raises(BadInput, match=r"put NAME.lose.png beside NAME.png"):
        compared(find(tmp_path)[0])
