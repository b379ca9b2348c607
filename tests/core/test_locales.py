"""Translations: every language complete, true to the English, and safe for the front-end.

That the English is the schemas' own, tests/server/test_locales.py asks a running server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "locales"
TRANSLATED = {"ja": r"[ぁ-んァ-ヶ一-鿿]", "ko": r"[가-힣]", "zh": r"[一-鿿]"}
"""Language -> a character of its script."""

Texts = dict[str, str]


def read(language: str) -> dict:
    """nodeDefs.json, and what else lies beside it, as ComfyUI puts it together."""
    files = sorted((LOCALES / language).glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def texts(tree: dict, path: str = "") -> Iterator[tuple[str, str]]:
    """("nodeDefs.SoftREPAApply.inputs.model.name", text) for each text."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from texts(value, f"{path}{key}.")
        else:
            yield path + key, value


@pytest.fixture(scope="module")
def english() -> Texts:
    return dict(texts(read("en")))


@pytest.fixture(scope="module", params=sorted(TRANSLATED))
def language(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def translated(language) -> Texts:
    return dict(texts(read(language)))


def test_the_languages_are_those_tested():
    assert {folder.name for folder in LOCALES.iterdir()} == {"en", *TRANSLATED}


def test_no_text_is_missing_and_none_is_stale(english, translated):
    assert translated.keys() == english.keys()


def test_every_text_is_in_its_language(language, translated):
    for key, text in translated.items():
        assert re.search(TRANSLATED[language], text), f"{key} is not translated"
        if key.endswith((".tooltip", ".description")):
            assert text.endswith(("。", ".")), f"{key} is not a whole sentence"


def test_no_character_has_a_meaning_of_its_own(english, translated):
    """vue-i18n reads these as placeholders, links and plural forms."""
    for key, text in [*english.items(), *translated.items()]:
        assert not re.search(r"[{}@$|]", text), key
        assert text == text.strip() and "  " not in text, key


def kept(text: str) -> set[str]:
    """What a translation must repeat letter by letter: files, numbers, choices, proper names."""
    words = {word.strip(".,:;?()'") for word in re.findall(r"[\w./,:\-']+", text)}
    words |= {f".{found}" for found in re.findall(r"(?<!\w)\.(\w+)", text)}
    literal = re.compile(r"\d|[/_]|^\.\w|\w\.\w|[A-Z]\w*[A-Z]")
    found = {word.removesuffix("'s") for word in words if literal.search(word)}
    choices = ("weighted sum", "concatenate", "input", "middle", "output")
    if "weighted sum:" in text or "input.4" in text:
        found |= {choice for choice in choices if re.search(rf"\b{choice}\b", text)}
    return found


def test_what_must_stay_as_it_is_stays(english, translated):
    for key, text in english.items():
        if key.endswith(".name"):
            continue
        for literal in kept(text):
            assert literal in translated[key], f"{key}: {literal}"


def test_literals_are_found():
    """The check above can fail: this is what it looks for."""
    assert kept("Put a.pth (0-2,4) into models/softrepa: SD3's input.4, .safetensors. Try 1.") == {
        "a.pth", "0-2,4", "models/softrepa", "SD3", "input.4", "input", ".safetensors", "1",
    }  # fmt: skip


def test_nodes_are_called_by_the_names_they_have_there(english, translated):
    names = {
        key.removesuffix(".display_name"): text
        for key, text in english.items()
        if key.endswith(".display_name")
    }
    found = 0
    for key, text in english.items():
        if key.endswith(".display_name"):
            continue
        for node, name in sorted(names.items(), key=lambda item: -len(item[1])):
            if name in text:
                text = text.replace(name, "")
                there = translated[f"{node}.display_name"]
                assert there in translated[key], f"{key} calls {node} otherwise than {there}"
                found += 1
    assert found >= 6


def test_the_same_word_is_translated_in_one_way(english, translated):
    """Inputs and outputs of one name have one translation; "layers" is never now this, now that."""
    seen: dict[tuple[str, str], str] = {}
    for key, text in english.items():
        if key.endswith(".name"):
            there = translated[key]
            assert seen.setdefault(("name", text), there) == there, key
        elif ".inputs." in key:
            assert seen.setdefault(("tooltip", text), translated[key]) == translated[key], key
