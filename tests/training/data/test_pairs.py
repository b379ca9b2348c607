"""Finding pairs: every layout of captions, what is reported, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comfyui_softrepa.training.data import find
from comfyui_softrepa.training.errors import BadInput

from .stand_in import picture


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_text_files_in_nested_folders_give_a_caption_a_line(tmp_path):
    picture(tmp_path / "b.png", 1)
    picture(tmp_path / "a" / "deep" / "c.png", 2)
    _write(tmp_path / "b.txt", "one cat\n\n  a   cat \none cat\n")
    _write(tmp_path / "a" / "deep" / "c.txt", "\ufeffa dog")
    _write(tmp_path / "b.neg.txt", "two cats\na cat")

    pairs, report = find(tmp_path)

    assert [pair.image.name for pair in pairs] == ["c.png", "b.png"]
    assert pairs[0].captions == ("a dog",)
    assert pairs[1].captions == ("one cat", "a cat")
    assert pairs[1].negatives == ("two cats",)  # what is true of the image is no negative
    assert (report.pairs, report.captions) == (2, 3)


def test_utf16_text_is_read(tmp_path):
    picture(tmp_path / "a.png", 1)
    (tmp_path / "a.txt").write_text("ein Hügel\nein Tal", encoding="utf-16")
    assert find(tmp_path)[0][0].captions == ("ein Hügel", "ein Tal")


def test_metadata_names_files_below_its_own_folder(tmp_path):
    picture(tmp_path / "train" / "x" / "1.png", 1)
    picture(tmp_path / "train" / "2.png", 2)
    rows = [
        {"file_name": "x/1.png", "text": "a hill"},
        {"file_name": "2.png", "text": ["a lake", "water"]},
        {"file_name": "gone.png", "text": "a ghost"},
    ]
    _write(tmp_path / "train" / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    pairs, report = find(tmp_path)
    assert {p.image.name: p.captions for p in pairs} == {
        "1.png": ("a hill",),
        "2.png": ("a lake", "water"),
    }
    assert len(report.imageless) == 1 and "gone.png" in report.imageless[0]


def test_coco_finds_images_in_the_folder_beside(tmp_path):
    picture(tmp_path / "val2017" / "000007.png", 7)
    picture(tmp_path / "val2017" / "000008.png", 8)
    coco = {
        "images": [{"id": 7, "file_name": "000007.png"}, {"id": 8, "file_name": "000008.png"}],
        "annotations": [
            {"image_id": 8, "caption": "a bus"},
            {"image_id": 7, "caption": "a train"},
            {"image_id": 7, "caption": "a train on rails"},
        ],
    }
    _write(tmp_path / "annotations" / "captions_val2017.json", json.dumps(coco))
    _write(tmp_path / "other.json", json.dumps({"images": [], "annotations": []}))
    _write(tmp_path / "list.json", "[1, 2]")
    pairs, _ = find(tmp_path)
    assert [p.captions for p in pairs] == [("a train", "a train on rails"), ("a bus",)]


def test_everything_amiss_is_counted_and_named(tmp_path):
    for number in range(4):
        picture(tmp_path / f"{number}.png", number, (64, 64))
    for number in (0, 1, 3):
        _write(tmp_path / f"{number}.txt", "the same" if number < 2 else "another")
    _write(tmp_path / "orphan.txt", "a caption")
    broken = tmp_path / "9.jpg"
    picture(broken, 9, (256, 256))
    broken.write_bytes(broken.read_bytes()[:-200])
    _write(tmp_path / "9.txt", "cut short")
    picture(tmp_path / "8.png", 8)
    (tmp_path / "8.txt").write_bytes(b"\xc3\x28 not text")
    picture(tmp_path / ".hidden" / "7.png", 7)

    pairs, report = find(tmp_path)
    report.write(tmp_path / "report.log")

    assert len(pairs) == 3
    assert [path.name for path in report.uncaptioned] == ["2.png"]  # 8.png has an unreadable one
    assert [Path(name).name for name in report.imageless] == ["orphan.txt"]
    assert [path.name for path, _ in report.unreadable] == ["8.txt", "9.jpg"]
    assert report.duplicates == 1
    named = (tmp_path / "report.log").read_text()
    assert all(name in named for name in ("9.jpg", "8.txt", "2.png", "orphan.txt"))
    assert "unreadable files: 2" in str(report)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no images"),
        ({"a.png": None}, "has a caption"),
        ({"a.png": None, "a.txt": "x", "b.png": None, "b.txt": "x"}, "same caption"),
        ({"a.png": None, "metadata.jsonl": '{"file_name": "a.png"}\nnonsense'}, "line 2"),
        ({"a.png": b"not an image", "a.txt": "x"}, "a.png"),
    ],
)
def test_folders_that_cannot_be_trained_on_are_refused(tmp_path, files, says):
    for name, text in files.items():
        if text is None:
            picture(tmp_path / name, 1)
        elif isinstance(text, bytes):
            (tmp_path / name).write_bytes(text)
        else:
            _write(tmp_path / name, text)
    with pytest.raises(BadInput, match=says):
        find(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        find(tmp_path / "none")
