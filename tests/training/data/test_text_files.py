"""Text as editors of all systems save it: read right, or named with what to do."""

from __future__ import annotations

import codecs

import pytest
from comfyui_softrepa.training.data.captions.words import read_words
from comfyui_softrepa.training.data.reading.text_files import NotText, decode, read, read_toml
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"))


@given(TEXTS)
@settings(deadline=None)
def test_unicode_with_and_without_mark_comes_back(text) -> None:
    assert decode(text.encode("utf-8")) == text
    assert decode(codecs.BOM_UTF8 + text.encode("utf-8")) == text
    for encoding in ("utf-16", "utf-32"):
        assert decode(text.encode(encoding)) == text
    assert decode(codecs.BOM_UTF16_BE + text.encode("utf-16-be")) == text


@given(st.binary())
@settings(deadline=None)
def test_bytes_are_text_without_nuls_or_refused_with_what_to_do(raw) -> None:
    try:
        assert "\0" not in decode(raw)
    except NotText as error:
        assert "save it as UTF-8" in str(error) and len(str(error).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_told_by_its_nuls(encoding) -> None:
    assert decode("a red cat\r\nzwei Hügel, 犬".encode(encoding)) == "a red cat\r\nzwei Hügel, 犬"


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("赤い犬と青い猫", "cp932", "Shift_JIS"),
        ("テーブルの上の赤いりんご", "euc_jp", "EUC-JP"),
        ("桌子上的红苹果和蓝色的猫", "gb18030", "GB18030"),
        ("빨간 사과와 파란 고양이", "cp949", "cp949"),
        ("桌子上的紅蘋果和藍色的貓", "big5", "Big5"),
        ("красное яблоко на столе", "cp1251", "Windows-1251"),
        ("ein grüner Hügel mit Café", "cp1252", "Windows-1252"),
    ],
)
def test_a_code_page_is_named_and_shown_never_decoded(text, encoding, name) -> None:
    with pytest.raises(NotText, match="save it as UTF-8") as caught:
        decode(text.encode(encoding))
    assert name in str(caught.value) and text[:10] in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"a cat\0 and a dog", "NUL"),
        (b"\xff\xfea\0 \0\0\0", "NUL"),
        (b"\xff\xfea\0\x3d\xd8", "damaged UTF-16"),
        ("a café, a caf".encode() + b"\xc3", "damaged UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text"),
    ],
)
def test_damage_is_named(raw, says) -> None:
    with pytest.raises(NotText, match=says):
        decode(raw)


def test_a_file_too_large_for_memory_is_not_read(tmp_path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(5 << 30)  # sparse: takes no room
    with pytest.raises(NotText, match=r"5\.4 GB large"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_toml_and_word_lists_as_windows_saves_them(tmp_path, encoding) -> None:
    path = tmp_path / "words.toml"
    path.write_bytes('[attribute]\r\ncolour = [["赤い", "青い"]]\r\n'.encode(encoding))
    assert read_toml(path) == {"attribute": {"colour": [["赤い", "青い"]]}}
    assert read_words(path).section("赤い") == "attribute"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'cache = "C:\\Users\\x"\n', "single quotes"),
        ("steps = “5”\n".encode(), "straight quotes"),
        ('title = "赤い犬"\n'.encode("cp932"), "save it as UTF-8"),
        (b"steps = 5 5\n", "no valid TOML"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_toml_that_cannot_be_read_says_what_to_change(tmp_path, raw, says) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(raw)
    for reader in (read_toml, read_words):
        with pytest.raises(BadInput, match=says):
            reader(path)
