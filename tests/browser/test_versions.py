"""The loader says which file an adapter's name stands for, keeps it, and notices another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.browser.graphs import PLACES, demo_graph
from comfyui_softrepa.tests.browser.widgets import choose
from PIL import Image
from playwright.sync_api import expect

HASH, AGREE = ".softrepa-hash", ".softrepa-agree"
CHANGED = ".softrepa-warning:has(.softrepa-agree)"
OTHER = "f" * 64
_FOCUS = "() => window.dispatchEvent(new Event('focus'))"
_TO_SUBGRAPH = """() => {
    const { canvas, graph } = window.app
    const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(2)]))
    canvas.openSubgraph(node.subgraph, node)
}"""


@pytest.fixture
def replaced(server) -> Iterator[Path]:
    """An adapter that the tests put another file in place of."""
    path = server.base / "models" / "softrepa" / "sd3.safetensors"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def noted(workflow: dict) -> dict[str, str]:
    """What a saved workflow says of its loader's file."""
    graphs = [workflow, *workflow.get("definitions", {}).get("subgraphs", [])]
    (loader,) = [n for graph in graphs for n in graph["nodes"] if n["type"] == "SoftREPALoader"]
    return {k[9:]: v for k, v in loader["properties"].items() if k.startswith("softrepa_")}


def made_with(frontend, sha256: str | None) -> dict:
    """The demo graph as a file that was saved with this version, or none, of its adapter."""
    frontend.load_api(demo_graph(), PLACES)
    workflow = frontend.workflow()
    (loader,) = [node for node in workflow["nodes"] if node["type"] == "SoftREPALoader"]
    for name in [name for name in loader["properties"] if name.startswith("softrepa_")]:
        del loader["properties"][name]
    if sha256 is not None:
        loader["properties"] |= {
            "softrepa_adapter": "sd3.safetensors",
            "softrepa_sha256": sha256,
        }
    return workflow


def test_a_choice_is_noted_and_a_picture_carries_it(both, replaced):
    both.load(made_with(both, None))
    page, first = both.page, of(replaced)
    expect(page.locator(HASH)).to_have_text(first[:10])
    expect(page.locator(HASH)).to_have_attribute("title", first)
    page.locator("canvas#graph-canvas").click(position={"x": 700, "y": 800})
    both.settle()
    assert noted(both.workflow()) == {}, "a workflow that is only opened stays as it is"
    choose(both, 2, "adapter", "raw.safetensors")
    raw = of(replaced.with_name("raw.safetensors"))
    expect(page.locator(HASH)).to_have_text(raw[:10])
    both.settle()
    assert noted(both.workflow()) == {"adapter": "raw.safetensors", "sha256": raw}
    both.load(made_with(both, None))
    expect(page.locator(HASH)).to_have_text(first[:10])
    (name,) = both.queue()
    with Image.open(both.server.base / "output" / name) as picture:
        carried = json.loads(picture.info["workflow"])
    assert noted(carried) == {"adapter": "sd3.safetensors", "sha256": first}
    # Another file of this name: seen when one comes back to the page.
    files.write(replaced, random_adapter(width=192, seed=5))
    page.evaluate(_FOCUS)
    expect(page.locator(CHANGED)).to_contain_text(first[:10])
    expect(page.locator(HASH)).to_have_text(of(replaced)[:10])
    assert not both.complaints()


@pytest.mark.spoils_the_page
def test_another_file_is_warned_of_until_the_user_agrees(both, replaced, request):
    both.load(made_with(both, OTHER))
    page, now = both.page, of(replaced)
    page.evaluate(_FOCUS)
    expect(page.locator(HASH)).to_have_text(now[:10])
    warning = page.locator(CHANGED)
    expect(warning).to_contain_text(f"made with another file of this name, {OTHER[:10]}.")
    both.screenshot(f"version-{request.node.callspec.params['both']}")
    (name,) = both.queue()  # never blocked, and the picture tells both
    with Image.open(both.server.base / "output" / name) as picture:
        carried = noted(json.loads(picture.info["workflow"]))
    told = {"adapter": "sd3.safetensors", "sha256": now, "sha256_before": OTHER}
    assert carried == noted(both.workflow()) == told
    expect(warning).to_be_visible()
    page.evaluate(_TO_SUBGRAPH)
    expect(page.locator(CHANGED)).to_have_count(1)
    assert noted(both.workflow()) == told
    page.locator(AGREE).click()
    expect(warning).to_have_count(0)
    assert noted(both.workflow()) == {"adapter": "sd3.safetensors", "sha256": now}
    assert not both.complaints()
