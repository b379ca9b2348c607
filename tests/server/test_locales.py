"""Translations as the server hands them out, against the nodes as it announces them.

After a schema's text changed, write the English anew with
`pytest tests/server/test_locales.py --snapshot`, then bring the other languages up to it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from comfyui_softrepa.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "ja", "ko", "zh")


def key(name: str) -> str:
    """A name as the front-end's normaliser makes it a key."""
    return name.replace(".", "_")


@pytest.fixture(scope="module")
def nodes(server) -> dict:
    listed = server.get("/object_info")
    return {name: info for name, info in listed.items() if _ours(info)}


def _ours(info: dict) -> bool:
    return info["category"].split("/")[0] == "SoftREPA"


def in_english(nodes: dict) -> dict:
    """nodeDefs.json as the front-end's own English is made from its nodes."""
    return {key(name): _node(info) for name, info in nodes.items()}


def _node(info: dict) -> dict:
    shown = {
        name: entry
        for kind in ("required", "optional")
        for name, entry in info["input"].get(kind, {}).items()
    }
    made = {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": {key(name): _input(name, *entry) for name, entry in shown.items()},
    }
    # An output that has no name of its own is called by its type, which ComfyUI translates.
    outputs = zip(info["output_name"], info["output"], info["output_tooltips"], strict=True)
    named = {
        str(index): ({"name": name} if name != kind else {}) | {"tooltip": tooltip}
        for index, (name, kind, tooltip) in enumerate(outputs)
    }
    return {**made, "outputs": named} if named else made


def _input(name: str, kind: str, options: dict) -> dict:
    return {"name": options.get("display_name") or name, "tooltip": options["tooltip"]}


def test_english_is_what_the_schemas_say(nodes, request):
    file = ROOT / "locales" / "en" / "nodeDefs.json"
    made = in_english(nodes)
    if request.config.getoption("--snapshot"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert made == json.loads(file.read_text(encoding="utf-8"))
    assert len(made) == len(NODES)


def test_the_server_hands_out_every_language(server, nodes):
    handed_out = server.get("/api/i18n")
    for language in LANGUAGES:
        stored = json.loads(
            (ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8")
        )
        served = {name: handed_out[language]["nodeDefs"][key(name)] for name in nodes}
        assert served == stored
    assert "Error loading" not in server.log.read_text()


def test_every_node_has_a_help_page_in_every_language(server, nodes):
    """The front-end asks for NODE/LANGUAGE.md and, where it is missing, for NODE.md."""
    for name, info in nodes.items():
        pack = info["python_module"].split(".")[1]
        pages = {None: f"{name}.md"} | {
            language: f"{name}/{language}.md" for language in LANGUAGES if language != "en"
        }
        for language, page in pages.items():
            text = _fetch(server, f"/extensions/{pack}/docs/{page}")
            title = in_english(nodes)[name]["display_name"]
            if language is not None:
                file = ROOT / "locales" / language / "nodeDefs.json"
                title = json.loads(file.read_text(encoding="utf-8"))[name]["display_name"]
            assert text.startswith(f"# {title}\n"), f"{page} is headed otherwise than its node"
            missing = [each for each in _explained(info) if f"`{each}`" not in text]
            assert not missing, f"{page} does not explain {', '.join(missing)}"


def _explained(info: dict) -> list[str]:
    """The names a help page must explain; a lone adapter needs no words, what comes of it does."""
    names = [*info["input"].get("required", ()), *info["input"].get("optional", ())]
    return info["output_name"] if names == ["adapter"] else names


def _fetch(server, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as response:
            return response.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error}") from error
