"""The read-only routes behind the front-end extension, on a running server."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import json
import os
import struct
import sys
import types
import urllib.parse
from pathlib import Path

import pytest
from comfyui_softrepa.injection import architectures
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter, save_reference


@pytest.fixture(scope="module")
def adapters(server) -> Path:
    folder = server.base / "models" / "softrepa"
    metadata = {"softrepa.objective": "agsm", "modelspec.title": "x" * 5000, "other": "y" * 5000}
    adapter = dataclasses.replace(random_adapter(banks=2), metadata=metadata)
    files.write(folder / "routes.safetensors", adapter)
    return folder


@pytest.fixture(scope="module")
def models(server, sd15_checkpoint) -> Path:
    folder = server.base / "models" / "checkpoints"
    (folder / "routes_sd15.safetensors").symlink_to(sd15_checkpoint)
    (folder / "routes.ckpt").write_bytes(b"not looked into")
    return folder


def ask(server, route: str, method: str = "GET", **query: str) -> tuple[int, dict, str]:
    """Status, JSON and the answer's text. The path goes out as it is, with nothing tidied up."""
    connection = http.client.HTTPConnection(server.address, timeout=60)
    try:
        connection.request(method, f"{route}?{urllib.parse.urlencode(query)}")
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    return response.status, json.loads(text) if text.startswith("{") else {}, text


def refused(server, status: int, route: str, **query: str) -> str:
    """The sentence of an error, which has this status and tells nothing of the machine."""
    found, body, text = ask(server, route, **query)
    assert found == status, (found, text)
    assert set(body) == {"error"} and body["error"].endswith((".", "definitions."))
    assert str(server.base) not in text and "Traceback" not in text and len(text) < 700
    return body["error"]


def test_an_adapter_in_numbers_and_words(server, adapters):
    name = "routes.safetensors"
    for prefix in ("", "/api"):
        status, facts, text = ask(server, f"{prefix}/softrepa/adapter", name=name)
        assert status == 200
    assert facts["architecture"] == "mmdit" and facts["family"] == "MMDiT of width 128"
    assert facts["layers"] == ["0", "1"] and facts["depth"] == 2 and not facts["shared"]
    assert (facts["tokens_per_block"], facts["banks"], facts["buckets"]) == (4, 2, 100)
    assert facts["sha256"] == hashlib.sha256((adapters / name).read_bytes()).hexdigest()
    assert facts["said"]["objective"] == "agsm" and len(facts["said"]["title"]) == 201
    assert len(text) < 2000 and str(server.base) not in text


def test_a_changed_file_is_read_again(server, adapters):
    path = adapters / "changed.safetensors"
    for blocks in (1, 3):
        files.write(path, random_adapter(blocks=blocks))
        os.utime(path, (blocks, blocks))
        facts = ask(server, "/softrepa/adapter", name=path.name)[1]
        assert facts["depth"] == blocks
        assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_authors_files_are_read_without_running_them(server, adapters):
    folder = adapters / "released"
    folder.mkdir()
    tokens = random_adapter("unet", 768, 1)
    save_reference(folder, tokens.tokens[0, 0], tokens.offsets[0, :, 0])
    name = os.path.join("released", "dc_tokens.pth")
    facts = ask(server, "/softrepa/adapter", name=name)[1]
    assert facts["shared"] and facts["layers"] == ["input"] and facts["buckets"] == 100
    assert facts["blocks"][:3] == ["input.1", "input.2", "input.4"]
    both = (folder / "dc_tokens.pth").read_bytes() + (folder / "dc_t_tokens.pth").read_bytes()
    assert facts["sha256"] == hashlib.sha256(both).hexdigest()


def test_a_file_that_could_be_several_things_is_told_with_a_choice(server, adapters):
    folder = adapters / "foreign"
    folder.mkdir()
    save_reference(folder, random_adapter("flux", 3072).tokens[0], None)
    name = os.path.join("foreign", "dc_tokens.pth")
    for asked in ({}, {"architecture": "auto"}):
        sentence = refused(server, 400, "/softrepa/adapter", name=name, **asked)
        assert "flux for Flux.1" in sentence and "chroma for Chroma" in sentence
    facts = ask(server, "/softrepa/adapter", name=name, architecture="chroma")[1]
    assert facts["architecture"] == "chroma" and facts["family"].startswith("Chroma (")
    refused(server, 400, "/softrepa/adapter", name=name, architecture="sd3")


@pytest.mark.parametrize(
    "name",
    [
        "missing.safetensors",
        "../checkpoints/sd3.safetensors",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "./routes.safetensors",
        "released/../routes.safetensors",
        "routes.safetensors\x00.pth",
        "..\\routes.safetensors",
        "ROUTES.safetensors/",
        ".",
    ],
)
def test_only_listed_names_are_opened(server, adapters, models, name):
    refused(server, 404, "/softrepa/adapter", name=name)
    refused(server, 404, "/softrepa/model", folder="checkpoints", name=name)


def test_a_request_that_lacks_something_is_refused(server, adapters):
    assert 'lacks "name"' in refused(server, 400, "/softrepa/adapter")
    assert 'lacks "folder"' in refused(server, 400, "/softrepa/model", name="sd3.safetensors")
    for folder in ("loras", "custom_nodes", "../checkpoints", "softrepa"):
        refused(server, 400, "/softrepa/model", folder=folder, name="sd3.safetensors")
    assert ask(server, "/softrepa/adapter", method="POST", name="routes.safetensors")[0] == 405


def test_damaged_adapters_are_refused(server, adapters):
    whole = (adapters / "routes.safetensors").read_bytes()
    damaged = {
        "cut.safetensors": whole[:300],
        "empty.safetensors": b"",
        "text.pth": b"hello there, this is no pickle",
        "header.safetensors": struct.pack("<Q", 1 << 40) + whole[8:],
        "json.safetensors": struct.pack("<Q", 4) + b"[1,2" + whole,
        "pickle.pth": b"PK\x03\x04 not a zip archive after all",
    }
    for name, data in damaged.items():
        (adapters / name).write_bytes(data)
        assert name in refused(server, 400, "/softrepa/adapter", name=name)


def test_a_file_that_is_far_too_large_is_not_read(server, adapters):
    with (adapters / "huge.pth").open("wb") as file:
        file.truncate((256 << 20) + 1)  # takes no room on disk
    assert "larger than any adapter" in refused(server, 413, "/softrepa/adapter", name="huge.pth")


def test_links_lead_only_to_what_is_listed(server, adapters, tmp_path):
    """A link in the folder is the user's own and is followed, as ComfyUI does; to nothing, to a
    folder, or to what is no adapter, it gives a plain error and none of the content."""
    (tmp_path / "secret").write_text("password = hunter2")
    targets = {"secret": tmp_path / "secret", "gone": tmp_path / "gone", "folder": tmp_path}
    for name, target in targets.items():
        (adapters / f"{name}.safetensors").symlink_to(target)
    os.mkfifo(adapters / "pipe.safetensors")
    try:
        sentence = refused(server, 400, "/softrepa/adapter", name="secret.safetensors")
        assert "hunter2" not in sentence and str(tmp_path) not in sentence
        for name in ("gone", "folder", "pipe"):
            refused(server, 404, "/softrepa/adapter", name=f"{name}.safetensors")
    finally:
        for name in (*targets, "pipe"):
            (adapters / f"{name}.safetensors").unlink()


def test_models_are_told_by_their_header(server, models, sd3_checkpoint, sd15_checkpoint):
    """What the header tells is what ComfyUI finds when it has loaded the model."""
    import comfy.sd

    for name, path in (
        ("sd3.safetensors", sd3_checkpoint),
        ("routes_sd15.safetensors", sd15_checkpoint),
    ):
        status, facts, _ = ask(server, "/softrepa/model", folder="checkpoints", name=name)
        assert status == 200
        patcher = comfy.sd.load_checkpoint_guess_config(
            str(path), output_vae=False, output_clip=False
        )[0]
        architecture = architectures.architecture_of(patcher.model)
        assert facts["architecture"] == architecture.NAME
        assert tuple(facts["blocks"]) == architecture.blocks(patcher.model)
        assert tuple(facts["widths"]) == tuple(dict.fromkeys(architecture.widths(patcher.model)))
        assert facts["offset_width"] == architecture.offset_width(patcher.model)
    unknown = ask(server, "/softrepa/model", folder="checkpoints", name="routes.ckpt")
    assert unknown[0] == 200 and unknown[1]["architecture"] is None


def header(path: Path, entries: dict, length: int | None = None) -> str:
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)
    return path.name


def test_what_is_not_certain_is_unknown(server, models):
    """Quantised weights have misleading shapes; a video model and others are not SoftREPA's."""
    prefix = "model.diffusion_model."
    to_k = f"{prefix}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    first = {f"{prefix}input_blocks.0.0.weight": {"dtype": "F16", "shape": [320, 4, 3, 3]}}
    cases = {
        "quantised": {**first, to_k: {"dtype": "U8", "shape": [122880, 1]}},
        "video": {**first, to_k: {"dtype": "F16", "shape": [320, 1024]},
                  f"{prefix}input_blocks.1.1.time_stack.0.norm.weight":
                  {"dtype": "F16", "shape": [1]}},
        "flux": {"double_blocks.0.img_attn.qkv.weight": {"dtype": "F16", "shape": [9, 3]}},
        "nothing": {},
    }  # fmt: skip
    for name, entries in cases.items():
        name = header(models / f"{name}.safetensors", entries)
        status, facts, _ = ask(server, "/softrepa/model", folder="checkpoints", name=name)
        assert (status, facts) == (200, {"name": name, "architecture": None})
    known = {**first, to_k: {"dtype": "F16", "shape": [320, 1024]}}
    name = header(models / "sd2.safetensors", known)
    facts = ask(server, "/softrepa/model", folder="checkpoints", name=name)[1]
    assert facts["family"] == "SD2.x (U-Net, width 1024)" and facts["blocks"] == ["input.1"]


def test_damaged_models_are_refused(server, models):
    entry = {"a": {"dtype": "F16", "shape": [1]}}
    for name, entries, length in (
        ("beyond", entry, 1 << 50),
        ("short", entry, 5),
        ("list", [], None),
        ("shapeless", {"a": {"dtype": "F16"}}, None),
        ("wordy", {"a": {"dtype": "F16", "shape": ["wide"]}}, None),
    ):
        name = header(models / f"{name}.safetensors", entries, length)
        assert "damaged" in refused(server, 400, "/softrepa/model", folder="checkpoints", name=name)
    (models / "tiny.safetensors").write_bytes(b"abc")
    refused(server, 400, "/softrepa/model", folder="checkpoints", name="tiny.safetensors")
    with (models / "long.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 64 << 20))
        file.truncate(128 << 20)  # takes no room on disk
    assert "long header" in refused(
        server, 413, "/softrepa/model", folder="checkpoints", name="long.safetensors"
    )


def test_nothing_happens_without_a_server(monkeypatch):
    """As where the pack is imported by a program of its own."""
    from comfyui_softrepa.nodes.routes import ROUTES, register_routes
    from comfyui_softrepa.nodes.routes.vote import VOTING_ROUTES

    module = types.SimpleNamespace(PromptServer=type("PromptServer", (), {}))
    monkeypatch.setitem(sys.modules, "server", module)
    register_routes()
    from aiohttp import web

    module.PromptServer.instance = types.SimpleNamespace(routes=web.RouteTableDef())
    register_routes()
    register_routes()
    found = [route.path for route in module.PromptServer.instance.routes]
    # The voting page is read and written at the same paths.
    assert found == [*ROUTES, *(path for path in VOTING_ROUTES for _ in range(2))]
