"""trial.json: what is written is read back; what is not sound is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_softrepa.evaluation.errors import TrialError
from comfyui_softrepa.evaluation.trial.manifest import decode, differences, read_manifest
from comfyui_softrepa.tests.evaluation import made
from hypothesis import given
from hypothesis import strategies as st


def content() -> dict[str, Any]:
    return json.loads(made.manifest().encode())


def refused(data: bytes) -> str:
    with pytest.raises(TrialError) as caught:
        decode(data)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and len(sentence) < 300
    assert sentence.isprintable()
    return sentence


def test_what_is_written_is_read_back():
    manifest = made.manifest()
    assert decode(manifest.encode()) == manifest
    assert decode(manifest.encode()).encode() == manifest.encode()


def test_further_plain_values_of_an_arm_are_kept():
    given = content()
    given["arms"][1]["models"][0]["weight_dtype"] = "fp8"
    given["arms"][0]["guidance_rescale"] = 0.7
    read = decode(json.dumps(given).encode())
    assert read.arms[1].models[0].details == {"weight_dtype": "fp8"}
    assert json.loads(read.encode()) == given


def change(path: str, value: Any) -> bytes:
    """The sound manifest with one value set anew (or, for ..., taken out)."""
    given = content()
    inner: Any = given
    *before, last = (int(p) if p.isdigit() else p for p in path.split("/"))
    for key in before:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(given).encode()


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("format", 2, "format 2"),
        ("format", True, "format"),
        ("format", ..., "format"),
        ("name", 5, "name"),
        ("name", "", "name"),
        ("name", "a\x1b[2Jb", "name"),
        ("name", "n" * 300, "name"),
        ("created", "yesterday", "created"),
        ("host", [], "host"),
        ("host", {"torch": 2.1}, "torch"),
        ("arms", [], "arms"),
        ("arms/0/name", "../outside", "name"),
        ("arms/0/name", "a/b", "name"),
        ("arms/0/name", "a\\b", "name"),
        ("arms/0/name", "..", "name"),
        ("arms/0/name", ".hidden", "name"),
        ("arms/0/name", "con", "name"),
        ("arms/0/name", "NUL.txt", "name"),
        ("arms/0/name", "ends.", "name"),
        ("arms/0/name", "<b>", "name"),
        ("arms/0/name", "C:", "name"),
        ("arms/0/name", "softrepa", "twice"),
        ("arms/0/models", {}, "models"),
        ("arms/0/models/0", "x", "models"),
        ("arms/0/models/0/sha256", "A" * 64, "sha256"),
        ("arms/0/models/0/strength", float("1e300"), "strength"),
        ("arms/0/models/0/strength", "1", "strength"),
        ("arms/0/models/0/more", {"deep": 1}, "more"),
        ("prompts", [], "prompts"),
        ("prompts/0/id", "0001/../../x", "id"),
        ("prompts/0/id", "0002", "twice"),
        ("prompts/0/text", None, "text"),
        ("prompts/0/unknown", 1, "unknown"),
        ("prompts/0/expected", [{"class": 3}], "expected"),
        ("prompts/0/expected", [{"class": "cat", "position": ["left of", 7]}], "expected"),
        ("prompts/0/expected", [{"class": "cat", "count": -1}], "expected"),
        ("seeds", [], "seeds"),
        ("seeds", [1, 1], "twice"),
        ("seeds", [1.5], "seeds"),
        ("seeds", [-1], "seeds"),
        ("seeds", [1 << 64], "seeds"),
        ("seeds", [True], "seeds"),
        ("sampling", None, "sampling"),
        ("sampling/steps", 0, "steps"),
        ("sampling/width", 10**12, "width"),
        ("sampling/denoise", 1.5, "denoise"),
        ("pilot", "x", "pilot"),
        ("extra", 1, "extra"),
        ("\u202e\n<script>", 1, "script"),
    ],
)
def test_a_value_that_is_not_sound_is_named(path: str, value: Any, told: str):
    assert told in refused(change(path, value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b'{"format": ' + b"9" * 5000 + b"}",
        made.manifest().encode()[:-200],
        b" " * (10 << 20),
        json.dumps({"format": 1, "name": "n" * (10 << 20)}).encode(),
    ],
    ids=lambda data: f"{data[:16]!r}, {len(data)} bytes",
)
def test_a_file_that_is_no_manifest_is_refused(data: bytes):
    refused(data)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TrialError, match=r"trial\.json"):
        read_manifest(tmp_path / "trial.json")


NAMES = st.text(max_size=12) | st.sampled_from(["..", "a/b", "CON", "a b", "日本", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    ["format", "name", "host", "arms", "arms/0", "arms/0/name", "arms/1/models/1", "prompts",
     "prompts/1", "prompts/1/id", "prompts/0/expected", "seeds", "sampling", "sampling/steps"]
)  # fmt: skip


@given(PATHS, VALUES)
def test_no_value_anywhere_does_more_than_be_refused(path: str, value: Any):
    try:
        read = decode(change(path, value))
    except TrialError as error:
        assert str(error).isprintable()
    else:
        assert decode(read.encode()) == read


@pytest.mark.parametrize("name", ["bare", "AGSM 0.5", "日本語", "a+b=c", "v1.2"])
def test_names_of_arms_that_are_folders_everywhere(name: str):
    assert decode(change("arms/0/name", name)).arms[0].name == name


def test_differences_are_named_by_their_place():
    one = made.manifest()
    other = decode(change("sampling/steps", 20))
    assert differences(one, one) == []
    assert differences(one, decode(change("created", "2027-01-01T00:00:00+00:00"))) == []
    assert differences(one, other) == ["sampling.steps (8 in the trial, 20 now)"]
    (told,) = differences(one, decode(change("arms/1/models/1/sha256", "c" * 64)))
    assert told.startswith("arms[1].models[1].sha256 ")
    assert differences(one, decode(change("seeds", [1])))[0].startswith("seeds (2 in the trial")
