"""The headless batch before it speaks to a server: files as users save them, and their mistakes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BATCH = Path(__file__).resolve().parents[2] / "examples" / "batch" / "batch.py"
MODULES = ("batch", "client", "inputs", "progress")
PROMPT = "ein größerer roter Würfel 赤い立方体"


@pytest.fixture(scope="module")
def script():
    """The script's own modules, imported as it imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BATCH.parent)
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
        for name in MODULES:
            del sys.modules[name]


@pytest.fixture(scope="module")
def graph() -> dict:
    return json.loads((BATCH.parent / "graph.json").read_text())


def latent(graph: dict) -> dict:
    (node,) = (each for each in graph.values() if "batch_size" in each["inputs"])
    return node


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_prompts_are_read_as_they_were_written(script, tmp_path, encoding, end):
    path = tmp_path / "prompts.txt"
    path.write_bytes(end.join([PROMPT, "", "  a cat  ", ""]).encode(encoding))
    assert script.inputs.read_prompts(path) == [PROMPT, "a cat"]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_both_orders_of_bytes_are_known(script, tmp_path, mark):
    path = tmp_path / "prompts.txt"
    order = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    path.write_bytes(mark + PROMPT.encode(order))
    assert script.inputs.read_prompts(path) == [PROMPT]


@pytest.mark.parametrize(
    "data",
    [
        "größer".encode("cp1252"),
        "赤い立方体".encode("shift-jis"),
        "a cat".encode("utf-16-le"),
        b"\xff\xfea\x00 ",
        "\ufeff".encode("utf-16-le") + b"\x3d\xd8",
    ],
    ids=["cp1252", "shift-jis", "utf-16 without a mark", "cut short", "half an emoji"],
)
def test_prompts_in_another_encoding_are_named(script, tmp_path, data):
    path = tmp_path / "prompts.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"prompts\.txt is not in UTF-8: save it as UTF-8\."):
        script.inputs.read_prompts(path)


def test_adapters_may_have_blanks_and_either_slash(script):
    read = script.inputs.read_adapters
    assert read("none, x.safetensors ,") == ["none", "x.safetensors"]
    assert read(r"None,sd3\dc_tokens.pth") == ["none", "sd3/dc_tokens.pth"]


def names(script, graph, *prompts: str, adapter: str = "none") -> list[str]:
    return [script.batch.make_job(graph, prompt, 1, adapter).name for prompt in prompts]


def test_prompts_that_file_systems_confuse_have_names_of_their_own(script, graph):
    found = names(script, graph, "a cat", "A Cat", "a-cat", "🐱", "🐶", "赤" * 300, "赤" * 301)
    assert len({name.lower() for name in found}) == len(found)
    deep = names(script, graph, "赤" * 300, adapter=f"{'深' * 100}/x.safetensors")
    assert all(len(f"{name}_10.12345678.part".encode()) < 255 for name in [*found, *deep])
    assert len(set(names(script, graph, "a cat", "a cat"))) == 1


def test_a_batch_size_from_another_node_counts(script, graph):
    linked = json.loads(json.dumps(graph))
    latent(linked)["inputs"]["batch_size"] = ["number", 0]
    linked["number"] = {"class_type": "PrimitiveInt", "inputs": {"value": 3}}
    assert script.batch.make_job(linked, "a cat", 1, "none").pictures == 3
    linked["number"]["inputs"]["value"] = ["number", 0]
    with pytest.raises(ValueError, match="batch_size .* write a number into EmptySD3LatentImage"):
        script.batch.make_job(linked, "a cat", 1, "none")


def test_a_server_is_an_address_too(script):
    client = script.client.Client("https://example.org:8443/comfy/", 1.0)
    assert client.http == "https://example.org:8443/comfy"
    assert client.events == "wss://example.org:8443/comfy/ws"
    assert script.client.Client("127.0.0.1:8188", 1.0).events == "ws://127.0.0.1:8188/ws"


def test_two_batches_may_fill_one_folder(script, tmp_path):
    path = tmp_path / "a_1_x.safetensors_0.png"
    script.batch._keep([b"first"], [path])
    script.batch._keep([b"second"], [path])
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "one"], '"one" is no seed'),
        (["--seeds", "4-1"], "empty range"),
        (["--graph", "nowhere.json"], "nowhere.json cannot be read"),
        (["--graph", "prompts.txt"], "prompts.txt is no JSON"),
        (["--graph", "page.json"], "page.json is a workflow as the page saves it: save it with"),
        (["--graph", "list.json"], "list.json is no graph in API format"),
        (["--adapters", " ,"], "--adapters names nothing"),
        (["--prompts", "empty.txt"], "empty.txt holds no prompt"),
        (["--prompts", "."], "cannot be read"),
        (["--server", "ftp://somewhere"], '"ftp://somewhere" is no server'),
    ],
)
def test_bad_input_is_one_sentence(script, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("a cat")
    (tmp_path / "empty.txt").write_text("\ufeff \r\n", encoding="utf-8")
    (tmp_path / "page.json").write_text('{"nodes": [], "links": []}')
    (tmp_path / "list.json").write_text("[1]")
    assert script.batch.main(["--prompts", "prompts.txt", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_it_is_a_command(tmp_path):
    command = [sys.executable, str(BATCH), "--prompts", str(tmp_path / "nowhere.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "nowhere.txt" in done.stderr
    assert "Traceback" not in done.stderr
