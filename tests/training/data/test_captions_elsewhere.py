"""Captions where other trainers and data sets have them; what wins, and what is said."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from comfyui_softrepa.training.data import find
from comfyui_softrepa.training.data.reading import tables
from comfyui_softrepa.training.data.reading.names import Pictures, parts
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given, settings
from hypothesis import strategies as st

from .stand_in import picture

WANTED = {f"a{number}.png": (f"caption {number}",) for number in range(3)}
ROWS = [(f"a{number}.png", f"caption {number}") for number in range(3)]


@pytest.fixture
def data(tmp_path) -> Path:
    """Three pictures without captions."""
    for number in range(3):
        picture(tmp_path / "data" / f"a{number}.png", number)
    return tmp_path / "data"


def captions(folder: Path) -> dict[str, tuple[str, ...]]:
    return {pair.image.name: pair.captions for pair in find(folder)[0]}


def lines(rows) -> str:
    return "\n".join(map(json.dumps, rows))


WRITTEN = {
    "caption": {f"a{i}.caption": f"caption {i}" for i in range(3)},
    "whole name": {f"a{i}.png.txt": f"caption {i}" for i in range(3)},
    "json": {f"a{i}.json": json.dumps({"caption": f"caption {i}"}) for i in range(3)},
    "csv": {"metadata.csv": "file_name,text\n" + "".join(f"{n},{c}\n" for n, c in ROWS)},
    "csv of a spreadsheet": {
        "metadata.csv": "\ufefffile_name;caption\r\n" + "".join(f'{n};"{c}"\r\n' for n, c in ROWS)
    },
    "other key": {"metadata.jsonl": lines({"file_name": n, "caption": c} for n, c in ROWS)},
    "prompt": {"metadata.jsonl": lines({"file_name": n, "prompt": c} for n, c in ROWS)},
    "other root": {"metadata.jsonl": lines({"file_name": f"x\\{n}", "text": c} for n, c in ROWS)},
    "absolute": {"metadata.jsonl": lines({"file_name": f"D:\\x\\{n}", "text": c} for n, c in ROWS)},
    "capitals": {"metadata.jsonl": lines({"file_name": n.upper(), "text": c} for n, c in ROWS)},
    "sd-scripts": {"meta_cap.json": json.dumps({f"/x/{n}": {"caption": c} for n, c in ROWS})},
    "without suffix": {"meta.json": json.dumps({n[:2]: {"caption": c} for n, c in ROWS})},
    "flat": {"captions.json": json.dumps(dict(ROWS))},
    "array": {"data.json": json.dumps([{"file_name": n, "caption": c} for n, c in ROWS])},
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_captions_are_read_where_other_trainers_have_them(data, kind) -> None:
    for name, text in WRITTEN[kind].items():
        (data / name).write_text(text, encoding="utf-8", newline="")
    assert captions(data) == WANTED


def test_sd_scripts_tags_follow_the_caption_and_a_short_caption_is_one_more(data) -> None:
    table = {"a0": {"caption": "a cat", "tags": "cat, sofa"}, "a1": {"tags": "dog"}}
    (data / "meta.json").write_text(json.dumps(table))
    (data / "a2.json").write_text(json.dumps({"caption": "a long one", "caption_short": "short"}))
    assert captions(data) == {
        "a0.png": ("a cat, cat, sofa",),
        "a1.png": ("dog",),
        "a2.png": ("a long one", "short"),
    }


def test_the_first_place_wins_and_the_others_are_named(data) -> None:
    for number in range(3):
        (data / f"a{number}.caption").write_text(f"tag {number}")
    (data / "a0.txt").write_text("from the text file")
    (data / "a1.json").write_text('{"caption": "from json"}')
    (data / "metadata.jsonl").write_text(lines([{"file_name": "a0.png", "text": "and a list"}]))
    (data / "metadata.csv").write_text("file_name,text\na2.png,from a table\n")
    pairs, report = find(data)
    assert {pair.image.name: pair.captions for pair in pairs} == {
        "a0.png": ("from the text file", "and a list"),  # these two have always added up
        "a1.png": ("tag 1",),
        "a2.png": ("tag 2",),
    }
    assert report.sources == {".txt": 1, "metadata.jsonl": 1, ".caption": 2}
    assert sorted(Path(name.split(" (")[0]).name for name in report.passed_over) == [
        "a0.caption",
        "a1.json",
        "metadata.csv",
    ]
    assert "captions passed over, as the image has others: 3" in str(report)


def test_names_that_could_mean_two_pictures_or_share_one_mean_none(data, tmp_path) -> None:
    picture(data / "b" / "a0.png", 5)
    rows = [
        {"file_name": "other/a0.png", "text": "which?"},  # a0.png and b/a0.png: by its ending one
        {"file_name": "train/a1.png", "text": "one of two"},
        {"file_name": "val/a1.png", "text": "the other"},
        {"file_name": "a2.png", "text": "certain"},
        {"file_name": "old/a2.png", "text": "not this one"},
        {"file_name": "b/A0.PNG", "text": "in b"},
    ]
    (data / "metadata.jsonl").write_text(lines(rows))
    pairs, report = find(data)
    found = {str(pair.image.relative_to(data)): pair.captions for pair in pairs}
    assert found == {"a0.png": ("which?",), "a2.png": ("certain",), "b/a0.png": ("in b",)}
    assert len(report.imageless) == 3
    assert "2 names were found by their ending or another spelling" in report.notes[0]


def test_decomposed_names_of_macos_and_capitals_of_windows_meet(data) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Hügel") for form in ("NFC", "NFD"))
    picture(data / f"{decomposed}.png", 7)
    picture(data / "IMG.PNG", 8)
    picture(data / f"list {decomposed}.png", 9)
    (data / f"{composed}.txt").write_text("a hill", encoding="utf-8")
    (data / "img.txt").write_text("a lake")
    row = {"file_name": f"list {composed}.png", "text": decomposed}
    (data / "metadata.jsonl").write_text(json.dumps(row))
    assert set(captions(data).values()) == {("a hill",), ("a lake",), (composed,)}


@given(st.lists(st.text(st.characters(exclude_characters="/\\\0:.")).map(str.strip), min_size=1))
@settings(deadline=None)
def test_a_name_is_the_same_however_it_is_spelt(names) -> None:
    path = "/".join(name or "x" for name in names)
    decomposed = unicodedata.normalize("NFD", path)
    assert parts(path) == parts(decomposed) == parts(path.replace("/", "\\"))
    images = [Path("/root") / path]
    found, _ = Pictures(Path("/root"), images).resolve([decomposed], [Path("/root")])
    assert found == {decomposed: images[0]}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"metadata.jsonl": '{"file_name": "a0.png", "label": 3}'}, "file_name, label"),
        ({"metadata.jsonl": '{"image": "a0.png", "caption": "x"}'}, "image, caption"),
        ({"metadata.jsonl": '{"file_name": "a0.png", "text": {"en": "x"}}'}, "line 1.*list of"),
        ({"metadata.csv": "image,label\na0.png,x\n"}, "metadata.csv.*image, label"),
        ({"metadata.csv": "file_name,text\na0.png,a cat, a dog\n"}, "line 2.*double quotes"),
        ({"metadata.jsonl": '{"file_name": "q.png", "text": "x"}'}, r"a0\.png.*q\.png"),
        ({"a0.json": '{"label": "x"}'}, "a0.json with label"),
        ({"a0.json": "[" * 100_000}, "nested too deeply"),
        ({"a0.json": '{"caption": "cut'}, "no valid JSON"),
        ({"metadata.parquet": "PAR1"}, "metadata.parquet.*convert it"),
        ({"all.txt": "one\ntwo"}, r"1 captions of other names \(all\.txt\)"),
        ({"metadata.jsonl": "[" * 100_000}, "line 1"),
    ],
)
def test_a_refusal_says_what_was_found(data, files, says) -> None:
    for name, text in files.items():
        (data / name).write_text(text)
    with pytest.raises(BadInput, match=says):
        find(data)


@pytest.mark.parametrize("encoding", ["cp932", "utf-16-le"])
def test_lists_in_other_encodings_are_read_or_named(data, encoding) -> None:
    text = lines({"file_name": n, "text": f"赤い犬 {c} on a lawn"} for n, c in ROWS)
    raw = json.dumps(json.loads("[" + text.replace("\n", ",") + "]"), ensure_ascii=False)
    (data / "list.json").write_bytes(raw.encode(encoding))
    if encoding == "cp932":
        with pytest.raises(BadInput, match=r"list\.json.*Shift_JIS.*save it as UTF-8"):
            find(data)
    else:
        assert captions(data)["a0.png"] == ("赤い犬 caption 0 on a lawn",)


def test_half_an_emoji_and_control_characters_are_left_out_and_named(data) -> None:
    (data / "metadata.jsonl").write_text(
        '{"file_name": "a0.png", "text": "a cat \\ud83d"}\n'
        '{"file_name": "a1.png", "text": "a \\ud83d\\ude00 dog\\u0000"}\n'
        '{"file_name": "a2.png", "text": "plain"}'
    )
    pairs, report = find(data)
    assert [pair.captions for pair in pairs] == [("a cat",), ("a 😀 dog",), ("plain",)]
    assert len(report.notes) == 2 and "a0.png" in report.notes[0]


def test_a_caption_in_a_code_page_is_named_and_its_picture_not_called_uncaptioned(data) -> None:
    for number, text in enumerate(("赤い犬", "a blue cat", "a hill")):
        (data / f"a{number}.txt").write_bytes(text.encode("cp932"))
    pairs, report = find(data)
    assert len(pairs) == 2 and report.uncaptioned == ()
    assert 'a0.txt: is not UTF-8 (by Shift_JIS it reads "赤い犬"); save it' in str(report)


@pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and names of bytes")
def test_links_pipes_and_foreign_names_end_well(data, tmp_path) -> None:
    for number in range(2):
        (data / f"a{number}.txt").write_text(f"caption {number}")
    foreign = os.fsencode(data) + b"/\x8f\xe0\n"
    os.link(data / "a0.png", foreign + b".png")
    os.link(data / "a0.png", foreign + b"2.png")
    Path(os.fsdecode(foreign + b"2.txt")).write_text("of another system")
    os.symlink(data, data / "back")
    os.symlink("self.png", data / "self.png")
    for name in ("gone.png", "gone.txt", "metadata.jsonl", "gone.json"):
        os.symlink(tmp_path / "nothing", data / name)
    os.mkfifo(data / "a2.txt")
    pairs, report = find(data)
    report.write(tmp_path / "data.txt")
    said = (tmp_path / "data.txt").read_text(encoding="utf-8")
    assert len(pairs) == 3
    assert r"image without caption: " in said and r"\udc8f\udce0\n.png" in said
    assert "gone.png: is a link to a file that is gone" in said and "self.png" in said
    assert len(report.unreadable) == 5 and report.others == {".txt": 1}


def test_home_is_found_behind_a_tilde_and_a_file_is_no_folder(data, monkeypatch) -> None:
    for number in range(3):
        (data / f"a{number}.txt").write_text(f"caption {number}")
    monkeypatch.setenv("HOME", str(data.parent))
    monkeypatch.setenv("USERPROFILE", str(data.parent))
    assert captions(Path("~/data")) == WANTED
    for wrong in ("~/none", "~nobody-of-this-name/x"):
        with pytest.raises(BadInput, match="There is no folder"):
            find(Path(wrong))
    with pytest.raises(BadInput, match="is a file"):
        find(data / "a0.txt")


def test_files_that_are_neither_are_counted(data, tmp_path) -> None:
    for number in range(3):
        (data / f"a{number}.txt").write_text(f"caption {number}")
    for name in ("clip.mp4", "clip2.MP4", "notes", "workflow.json"):
        (data / name).write_text("{}")
    report = find(data)[1]
    assert report.others == {".mp4": 2, "notes": 1, ".json": 1}
    report.write(tmp_path / "data.txt")
    assert "other files, passed over: .mp4 2" in (tmp_path / "data.txt").read_text()


def test_a_large_json_is_parsed_only_where_it_speaks_of_captions(data, monkeypatch) -> None:
    monkeypatch.setattr(tables, "_UNLIKELY", 10)
    (data / "instances.json").write_text('{"images": [], "annotations": [{"bbox": [0, 0, 1')
    (data / "meta.json").write_text(json.dumps({n: {"caption": c} for n, c in ROWS}))
    pairs, report = find(data)
    assert len(pairs) == 3 and report.unreadable == () and report.others == {".json": 1}


def test_the_report_is_shown_on_a_terminal_that_lacks_its_letters(data, monkeypatch) -> None:
    for number in range(2):
        (data / f"a{number}.txt").write_text(f"caption {number}")
    (data / "a2.txt").write_bytes("赤い犬と青い猫".encode("cp932"))
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    find(data)[1].show()
    terminal.flush()
    assert b"unreadable files: 1" in terminal.buffer.getvalue()
