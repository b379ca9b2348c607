"""A run of Train SoftREPA Adapter as a user sees it: started, watched, stopped, gone on with.

The node is photographed as build/browser/<version>/training-<renderer>.png, the picture that its
adapter painted as training-used-<renderer>.png.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.host.frontend import Frontend
from comfyui_softrepa.tests.browser.conftest import CHECKPOINT
from comfyui_softrepa.tests.graphs import Graph, training
from PIL import Image
from playwright.sync_api import expect

STEPS, EVERY = 12, 3
PLACES = {
    "checkpoint": (20, 60),
    "train": (420, 60),
    "positive": (20, 300),
    "negative": (20, 560),
    "latent": (20, 760),
    "apply": (900, 60),
    "sampler": (1280, 60),
    "decode": (1280, 420),
    "save": (1640, 60),
}


@pytest.fixture(scope="module")
def pictures(base: Path) -> str:
    folder = base / "input" / "shapes"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        world.write_folder(folder, 8, seed=3)
    return folder.name


def test_a_run_is_watched_stopped_and_gone_on_with(
    both: Frontend, pictures: str, request: pytest.FixtureRequest
):
    name = f"seen_{uuid.uuid4().hex[:8]}"
    inputs = {"validation": 0.25, "preview_every": EVERY, "preview_prompts": "two red circles"}
    graph = training(name, CHECKPOINT, folder=pictures, resolution=64, steps=STEPS, **inputs)
    numbers = {key: str(number) for number, key in enumerate(PLACES, 1)}
    both.load_api(numbered(graph, numbers), {numbers[key]: place for key, place in PLACES.items()})
    panel = both.page.locator(".softrepa-training")
    expect(panel).to_contain_text("Curves and previews appear here")
    both.page.get_by_test_id("queue-button").click()
    # Long enough for a machine that does other things beside.
    expect(panel.locator("img.softrepa-previews")).to_be_visible(timeout=240_000)
    expect(panel).to_contain_text(f"of {STEPS}")
    assert len(panel.locator("polyline").first.get_attribute("points").split()) > 1
    both.server.interrupt()
    state = both.server.base / "models" / "softrepa" / f"{name}.state"
    while both.server.get("/queue")["queue_running"]:
        both.page.wait_for_timeout(200)
    assert state.is_file()
    saved = both.queue()
    expect(panel).to_contain_text(f"step {STEPS} of {STEPS}")
    assert (state.parent / f"{name}.safetensors").is_file()
    with Image.open(both.server.base / "output" / saved[0]) as picture:
        assert picture.size == (64, 64)
    strip = panel.locator("img.softrepa-previews")
    # The whole strip: a column for the bare model and for each time, but one that was interrupted.
    with Image.open(state.with_suffix(".previews.png")) as kept:
        assert kept.width >= 256 * STEPS // EVERY
        expect(strip).to_have_js_property("naturalWidth", kept.width)
    both.settle()
    both.screenshot(f"training-{request.node.callspec.params['both']}")
    both.page.evaluate("() => { window.app.canvas.ds.offset[0] -= 560 }")
    both.page.evaluate("() => window.app.canvas.setDirty(true, true)")
    both.settle(20)
    both.screenshot(f"training-used-{request.node.callspec.params['both']}")
    assert not both.complaints()


def numbered(graph: Graph, numbers: dict[str, str]) -> Graph:
    """The graph with numbers for its nodes' ids, as the front-end wants them."""
    made: Graph = {}
    for key, node in graph.items():
        inputs = {
            name: [numbers[value[0]], value[1]] if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
        made[numbers[key]] = {**node, "inputs": inputs}
    return made
