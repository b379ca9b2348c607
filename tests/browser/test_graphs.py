"""The extension and the graph: what is saved and queued, undo, copies, subgraphs."""

from __future__ import annotations

from typing import Any

import pytest
from comfyui_softrepa.host.frontend import CLASSIC, VUE
from comfyui_softrepa.tests.browser.graphs import PLACES, demo_graph
from comfyui_softrepa.tests.browser.widgets import choose, value
from playwright.sync_api import expect

WITHOUT = {"Comfy.Extension.Disabled": ["ComfyUI-SoftREPA"]}
WARNING, BLOCK, PANEL = ".softrepa-warning", ".softrepa-block", ".softrepa"

# Opens the only subgraph.
_ENTER = """() => {
    const { canvas, graph } = window.app
    const node = graph.nodes.find(node => node.subgraph)
    canvas.openSubgraph(node.subgraph, node)
}"""


def saved(frontend) -> dict[str, Any]:
    """The workflow, but for what is another one each time, the nodes' sizes, and which version of
    the adapter was meant (test_versions.py)."""
    workflow = frontend.workflow()
    for key in ("id", "extra"):
        workflow.pop(key, None)
    for node in workflow["nodes"]:
        node.pop("size")
        for name in [name for name in node["properties"] if name.startswith("softrepa_")]:
            del node["properties"][name]
    return workflow


@pytest.mark.parametrize("renderer", [CLASSIC, VUE])
def test_what_is_saved_and_queued_is_the_same_without_it(open_page, renderer):
    graph = demo_graph(layers="0:0.5", keyframes="1, 0.5")
    found = []
    for settings in ({}, WITHOUT):
        frontend = open_page(renderer, **settings)
        frontend.load_api(graph, PLACES)
        frontend.page.wait_for_load_state("networkidle")
        assert (frontend.page.locator(PANEL).count() > 0) is (not settings)
        found.append((saved(frontend), frontend.prompt(), len(frontend.queue())))
        assert not frontend.complaints()
    assert found[0][0] == found[1][0], "the saved workflow"
    assert found[0][1] == found[1][1], "the graph that is queued"
    assert found[0][2] == found[1][2] == 1, "one picture each"
    inputs = {key: node["inputs"] for key, node in found[0][1].items()}
    assert inputs["3"]["layers"] == "0:0.5" and set(inputs["2"]) == {"adapter", "architecture"}
    values = {node["id"]: node.get("widgets_values") for node in found[0][0]["nodes"]}
    assert values[3] == [1, 0, 1, "0:0.5", "blend", 1]
    assert values[2] == ["sd3.safetensors", "auto"]


def test_undo_copies_and_removal(both):
    both.load_api(demo_graph(), PLACES)
    both.page.locator(BLOCK).first.wait_for()
    both.page.locator(BLOCK).nth(1).click()
    assert value(both, 3, "layers") == "0"
    both.page.locator("canvas#graph-canvas").focus()
    both.page.keyboard.press("Control+z")
    both.page.wait_for_function(
        "() => app.graph.getNodeById(3)?.widgets.find(w => w.name === 'layers').value === ''"
    )
    expect(both.page.locator(f"{BLOCK}[aria-pressed='true']")).to_have_count(2)
    both.page.evaluate(
        """() => {
            const { canvas, graph } = window.app
            canvas.selectItems([2, 3].map(id => graph.getNodeById(id)))
            canvas.copyToClipboard()
            canvas.pasteFromClipboard({ position: [470, 500] })
        }"""
    )
    expect(both.page.locator(".softrepa-info")).to_have_count(2)
    expect(both.page.locator(BLOCK)).to_have_count(4)  # the copy is connected to its own loader
    both.page.evaluate(
        """() => {
            const { graph } = window.app
            for (const node of graph.nodes.filter(node => /SoftREPA/.test(node.type)))
                graph.remove(node)
        }"""
    )
    expect(both.page.locator(PANEL)).to_have_count(0)
    assert not both.complaints()


@pytest.mark.spoils_the_page  # out of a subgraph again, 1.32.9's newer renderer draws no node
def test_the_model_is_found_behind_other_nodes(both, request):
    graph = demo_graph(checkpoint="sd15.safetensors")
    graph["20"] = {"class_type": "RescaleCFG", "inputs": {"model": ["1", 0], "multiplier": 0.7}}
    graph["3"]["inputs"]["model"] = ["20", 0]
    both.load_api(graph, {**PLACES, "2": (0, 400), "20": (470, 560)})
    expect(both.page.locator(WARNING)).to_have_count(2)
    both.page.evaluate("() => { window.app.graph.getNodeById(20).mode = 4 }")  # bypassed
    both.page.locator(BLOCK).first.hover()
    expect(both.page.locator(WARNING)).to_have_count(2)
    # Apply SoftREPA alone inside a subgraph: its model and adapter come from outside.
    both.page.evaluate("() => { app.graph.convertToSubgraph(new Set([app.graph.getNodeById(3)])) }")
    both.settle()
    expect(both.page.locator(f".softrepa-info {WARNING}")).to_have_count(1)
    both.page.evaluate(_ENTER)
    expect(both.page.locator(f".softrepa-controls {WARNING}")).to_have_count(1)
    both.screenshot(f"subgraph-{request.node.callspec.params['both']}")
    both.page.evaluate("() => { window.app.canvas.setGraph(window.app.rootGraph) }")
    choose(both, 1, "ckpt_name", "softrepa_demo.safetensors")
    expect(both.page.locator(WARNING)).to_have_count(0)
    assert not both.complaints()


def test_what_is_not_known_is_not_warned_of(page):
    """A checkpoint in another format, one that is not there, and a source that is no loader."""
    page.load_api(demo_graph(checkpoint="old.ckpt"), PLACES)
    expect(page.page.locator(BLOCK)).to_have_count(2)
    expect(page.page.locator(WARNING)).to_have_count(0)
    page.load_api(demo_graph(checkpoint="nowhere.safetensors"), PLACES)
    expect(page.page.locator(BLOCK)).to_have_count(2)
    expect(page.page.locator(WARNING)).to_have_count(0)
    graph = demo_graph(checkpoint="sd15.safetensors")
    graph["20"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "old.ckpt"}}
    graph["21"] = {
        "class_type": "ModelMergeSimple",
        "inputs": {"model1": ["1", 0], "model2": ["20", 0], "ratio": 0.5},
    }
    graph["3"]["inputs"]["model"] = ["21", 0]
    page.load_api(graph, PLACES)
    expect(page.page.locator(BLOCK)).to_have_count(2)
    expect(page.page.locator(WARNING)).to_have_count(0)
    page.page.evaluate("() => { app.graph.getNodeById(20).widgets[0].value = 'sd15.safetensors' }")
    page.page.locator("canvas#graph-canvas").click(position={"x": 700, "y": 800})
    expect(page.page.locator(WARNING)).to_have_count(2)
    assert not page.complaints()


def test_the_panel_of_properties_leaves_ours_in_the_node(both):
    """Newer front-ends list a chosen node's widgets beside the canvas, as they do elements."""
    properties = both.page.get_by_test_id("properties-panel")
    toggle = both.page.get_by_role("button", name="Toggle properties panel")
    both.load_api(demo_graph(), PLACES)
    both.page.locator(BLOCK).first.wait_for()
    height = both.page.locator(".softrepa-controls").bounding_box()["height"]
    both.page.evaluate("() => { app.canvas.selectItems([app.graph.getNodeById(3)]) }")
    if toggle.count():  # older ones have no such panel
        toggle.click()
        expect(properties).to_contain_text("end_percent")
        expect(properties).not_to_contain_text("softrepa_")
        expect(both.page.locator(".lg-node .softrepa, .dom-widget .softrepa").first).to_be_visible()
        both.screenshot("properties")
        toggle.click()
    assert both.page.locator(".softrepa-controls").bounding_box()["height"] == height
    assert not both.complaints()
