"""Prompts: users' files are read as they are, and the suite is what it says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from comfyui_softrepa.evaluation.errors import PromptsError
from comfyui_softrepa.evaluation.prompts import CATEGORIES, read_prompts, suite
from comfyui_softrepa.evaluation.prompts.words import COLOURS, THINGS
from comfyui_softrepa.evaluation.trial.manifest import decode
from comfyui_softrepa.tests.evaluation import made


def written(folder, name: str, content: str | bytes):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_prompt_a_line(tmp_path):
    path = written(tmp_path, "mine.txt", "\ufeffa red cat\r\n\r\n  青い犬 \na red cat\n")
    read = read_prompts(path)
    assert [(p.id, p.text, p.category) for p in read] == [
        ("0001", "a red cat", ""),
        ("0002", "青い犬", ""),
    ]


@pytest.mark.parametrize(
    ("name", "category"),
    [("color_val.txt", "color"), ("3d_spatial.txt", "3d_spatial"), ("non_spatial_train.txt",
     "non_spatial"), ("shape_val_unseen.txt", "shape"), ("colors.txt", ""), ("my_color.txt", "")],
)  # fmt: skip
def test_compbench_files_give_their_category_by_name(tmp_path, name: str, category: str):
    (prompt,) = read_prompts(written(tmp_path, name, "a green bench and a blue bowl\n"))
    assert prompt.category == category


def test_tables(tmp_path):
    path = written(tmp_path, "p.csv", 'Prompt,Category,Id\n"a cat, asleep",single,x-1\n"b",,\n')
    assert [(p.id, p.text, p.category) for p in read_prompts(path)] == [
        ("x-1", "a cat, asleep", "single"),
        ("0002", "b", ""),
    ]
    tabs = written(tmp_path, "p.tsv", "Prompt\tCategory\tChallenge\na cat\tAnimals\tBasic\n")
    assert read_prompts(tabs)[0].category == "Animals"


GENEVAL = [
    {"tag": "position", "include": [{"class": "couch", "count": 1},
     {"class": "cat", "count": 1, "position": ["left of", 0]}],
     "prompt": "a photo of a cat left of a couch"},
    {"tag": "counting", "include": [{"class": "bench", "count": 3}],
     "exclude": [{"class": "bench", "count": 4}], "prompt": "a photo of three benches"},
    {"tag": "color_attr", "include": [{"class": "suitcase", "count": 1, "color": "purple"}],
     "prompt": "a photo of a purple suitcase"},
]  # fmt: skip


def test_genevals_file_keeps_what_must_be_seen(tmp_path):
    content = "\n".join(map(json.dumps, GENEVAL)) + "\n"
    read = read_prompts(written(tmp_path, "evaluation_metadata.jsonl", content))
    assert [p.category for p in read] == ["position", "number", "attribution"]
    assert [list(p.expected) for p in read] == [entry["include"] for entry in GENEVAL]
    assert read[1].excluded == ({"class": "bench", "count": 4},)
    manifest = replace(made.manifest(), prompts=read)
    assert decode(manifest.encode()) == manifest


def test_json_lines_with_names_of_ones_own(tmp_path):
    content = '{"id": 7, "caption": "a", "language": "ja"}\n\n{"text": "b", "category": "c"}\n'
    read = read_prompts(written(tmp_path, "a.jsonl", content))
    assert [(p.id, p.text, p.language) for p in read] == [("0007", "a", "ja"), ("0002", "b", "en")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "", "no prompt"),
        ("a.txt", b"\xff\xfea", "UTF-8"),
        ("a.docx", "a", ".txt"),
        ("a.csv", "words\na\n", "entry 1"),
        ("a.csv", 'text\n"open', "table"),
        ("a.csv", "text,id\na,x\nb,X\n", "twice"),
        ("a.csv", "text,id\na,../x\n", "id"),
        ("a.jsonl", "[1]\n", "line 1"),
        ("a.jsonl", "{" * 100_000, "line 1"),
        ("a.jsonl", '{"text": 5}', "text"),
        ("a.jsonl", '{"text": "a", "include": "b"}', "expected"),
        ("a.jsonl", '{"text": "a", "include": [{"class": "b", "more": 1}]}', "expected"),
        ("a.jsonl", '{"text": "a\\u0000b"}', "text"),
        ("a.txt", b"x" * (33 << 20), "32 MB"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path, name, content, told):
    with pytest.raises(PromptsError) as caught:
        read_prompts(written(tmp_path, name, content))
    assert told in str(caught.value) and str(caught.value).isprintable()
    with pytest.raises(PromptsError, match="cannot be read"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_suite_is_240_different_prompts_in_eight_categories(language: str):
    prompts = suite(language)
    assert Counter(p.category for p in prompts) == dict.fromkeys(CATEGORIES, 30)
    assert len({p.text for p in prompts}) == len({p.id for p in prompts}) == 240
    assert {p.language for p in prompts} == {language} and all(p.expected for p in prompts)
    assert all("{" not in p.text for p in prompts)
    manifest = replace(made.manifest(), prompts=prompts)
    assert decode(manifest.encode()) == manifest


def test_both_languages_ask_for_the_same():
    for en, ja in zip(suite("en"), suite("ja"), strict=True):
        assert (en.id, en.category, en.expected, en.excluded) == (
            ja.id, ja.category, ja.expected, ja.excluded
        )  # fmt: skip
        assert en.text.isascii() and not ja.text.replace("3D", "").isascii()
    with pytest.raises(PromptsError, match="en and ja"):
        suite("fr")


def test_what_is_expected_is_what_the_words_say():
    names, plurals = {t.name: t for t in THINGS}, {t.name: t.plural for t in THINGS}
    for prompt in suite("en"):
        for seen in prompt.expected:
            said = plurals[seen["class"]] if seen["count"] > 1 else seen["class"]
            assert said in prompt.text
            if "color" in seen:
                assert f"{seen['color']} {seen['class']}" in prompt.text
        assert len({seen["class"] for seen in prompt.expected}) == len(prompt.expected)
    for prompt in suite("ja"):
        assert all(names[seen["class"]].ja in prompt.text for seen in prompt.expected)


def test_every_thing_has_its_turn_and_colours_are_spread():
    by_category = {c: [p for p in suite() if p.category == c] for c in CATEGORIES}
    for category in ("single", "two", "number", "colour", "position", "attribution", "style"):
        used = Counter(seen["class"] for p in by_category[category] for seen in p.expected)
        assert set(used) == {thing.name for thing in THINGS}, category
        assert len(set(used.values())) == 1, category
    for category in ("colour", "attribution"):
        used = Counter(seen["color"] for p in by_category[category] for seen in p.expected)
        assert set(used) == {colour.en for colour in COLOURS} and min(used.values()) >= 3
    words = sorted(len(p.text.split()) for p in by_category["long"])
    assert words[0] > 30 and words[-1] > 90
