"""The example workflows as a user meets them: in the template browser, on the canvas, and run.

Each loaded workflow is kept as build/browser/workflow-<name>.png, the template browser as
build/browser/templates.png.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.workflows.files import FOLDER
from comfyui_softrepa.demo.workflows.models import DEMO_FOLDER
from comfyui_softrepa.demo.workflows.pictures.running import (
    NAME,
    in_demo_world,
    install_parts,
    install_small_clip,
    install_unet,
    settings_of_trial,
)
from comfyui_softrepa.demo.workflows.pictures.thumbnails import PROMPTS
from comfyui_softrepa.host.frontend import Frontend, open_frontend
from comfyui_softrepa.host.server import PACK, Server
from PIL import Image
from playwright.sync_api import Browser, Locator, TimeoutError, expect

PATHS = sorted(FOLDER.glob("*.json"))
FILES = {"ckpt_name", "adapter", "unet_name", "clip_name", "clip_name1", "clip_name2", "vae_name"}
"""Widgets that name a file, which need not be there."""
_OF_DOWNLOADS = ("huggingface.co/", "github.com/softrepa/", "Error fetching file size")
"""The front-end asks for the size of a model that is missing; nothing here can answer."""
_UNKNOWN_NODES = """() => window.app.graph.nodes.map(node => node.type)
    .filter(type => !(type in window.LiteGraph.registered_node_types))"""
_PIXELS = """image => {
    const canvas = document.createElement('canvas')
    canvas.width = image.naturalWidth
    canvas.height = image.naturalHeight
    const context = canvas.getContext('2d', { willReadFrequently: true })
    context.drawImage(image, 0, 0)
    const found = []
    for (let y = 8; y < canvas.height; y += 16)
        for (let x = 8; x < canvas.width; x += 16)
            found.push(...context.getImageData(x, y, 1, 1).data)
    return found
}"""
"""A picture's pixels, every 16th of every 16th line."""
_BOXES = """() => window.app.graph.nodes.map(node => {
    const [x, y, width, height] = node.getBounding()
    return { title: node.title, id: node.id, x, y, width, height }
})"""
_GROUPS = "() => window.app.graph.groups.map(({ title, _bounding }) => [title, ..._bounding])"
_FEWER_PROMPTS = """() => {
    const trial = window.app.graph.nodes.find(node => node.type === 'SoftREPATrial')
    const prompts = trial.widgets.find(widget => widget.name === 'prompts')
    prompts.value = prompts.value.split('\\n').slice(0, 3).join('\\n')
}"""
_NEARER = """() => {
    const { canvas, graph } = window.app
    canvas.ds.scale = 0.8
    canvas.centerOnNode(graph.nodes.find((node) => node.type === 'SoftREPATrain'))
    canvas.setDirty(true, true)
}"""
_FEWER_STEPS = """name => {
    const train = window.app.graph.nodes.find(node => node.type === 'SoftREPATrain')
    for (const [key, value] of Object.entries({ name, steps: 4, preview_every: 2 }))
        train.widgets.find(widget => widget.name === key).value = value
}"""
_CUT_OFF = """() => [...document.querySelectorAll('.comfy-markdown')]
    .map(note => note.querySelector('.comfy-markdown-content') ?? note)
    .filter(note => note.scrollHeight > note.clientHeight + 1)
    .map(note => note.innerText.slice(0, 60))"""


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def opened(chromium: Browser, server: Server, version: str) -> Iterator[Frontend]:
    """One page for all of them, with the demo world's CLIP, its model in parts and the U-Net base,
    and adapters under the names that they have for them: opening a page takes longer than all that
    is done with it."""
    folder = server.base / "models" / "softrepa"
    shutil.copyfile(folder / "sd3.safetensors", folder / NAME)
    install_small_clip(server.base)
    parts = install_parts(server.base) + install_unet(server.base, folder / "sd15.safetensors")
    world.write_folder(server.base / "input" / DEMO_FOLDER, 12, seed=7)
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    yield open_frontend(context, server, {}, version)
    context.close()
    for file in (folder / NAME, *parts):
        file.unlink()


@pytest.fixture
def page(opened: Frontend) -> Frontend:
    opened.messages.clear()
    return opened


def test_the_template_browser_shows_them_all_with_thumbnails(open_page):
    page = open_page()
    dialog = _templates(page)
    for path in PATHS:
        card = dialog.get_by_test_id(f"template-workflow-{path.stem}")
        expect(card).to_contain_text(path.stem)
        card.scroll_into_view_if_needed()
        image = card.locator("img").first
        expect(image).to_have_js_property("complete", True)
        with Image.open(path.with_suffix(".jpg")) as thumbnail:
            kept = numpy.asarray(thumbnail.convert("RGB"), dtype=float)
        shown = numpy.array(image.evaluate(_PIXELS), dtype=float).reshape(32, 32, 4)
        # Browsers and Pillow decode a JPEG alike to a few steps of 255.
        assert abs(shown[..., :3] - kept[8::16, 8::16]).max() < 16, path.stem
    page.screenshot("templates")
    assert not page.complaints()


def test_it_loads_whole_and_runs(page, path):
    workflow = json.loads(path.read_text(encoding="utf-8"))
    _load(page, path.stem, len(workflow["nodes"]))
    _decline_downloads(page, workflow)
    page.settle()
    page.screenshot(f"workflow-{path.stem}")
    assert page.page.evaluate(_UNKNOWN_NODES) == []
    assert _saved(page.workflow()) == _saved(_with_outputs(page, workflow))
    _check_values(page, workflow)
    _check_layout(page)
    assert not _complaints(page)
    if path.stem in PROMPTS:
        page.load(in_demo_world(workflow, PROMPTS[path.stem]))
    trial = settings_of_trial(workflow)
    if path.stem == "softrepa_train_your_own":
        _check_training(page)
    elif trial is None:
        _check_pictures(page, page.queue())
    else:
        _check_report(page, trial)
    assert not _complaints(page)


def _load(frontend: Frontend, name: str, nodes: int) -> None:
    """Takes a template. Where the browser of templates still stands after a while, its click was
    lost, as cards can move under it, and is made once more."""
    card = _templates(frontend).get_by_test_id(f"template-workflow-{name}")
    loaded = (
        "([name, count]) => window.app.extensionManager.workflow.activeWorkflow?.filename === name"
        " && window.app.graph.nodes.length === count"
    )
    card.click()
    try:
        frontend.page.wait_for_function(loaded, arg=[name, nodes])
    except TimeoutError:
        frontend.screenshot(f"not-loaded-{name}")
        card.click()
        frontend.page.wait_for_function(loaded, arg=[name, nodes])


def _templates(frontend: Frontend) -> Locator:
    """The template browser, at this pack's page."""
    frontend.page.get_by_role("button", name="Templates", exact=True).click()
    dialog = frontend.page.get_by_role("dialog")
    dialog.get_by_text(PACK, exact=True).first.click()
    expect(dialog.get_by_test_id(re.compile("^template-workflow-"))).to_have_count(len(PATHS))
    return dialog


def _decline_downloads(frontend: Frontend, workflow: dict[str, Any]) -> None:
    """Where models are missing, the front-end tells which, where they belong, and offers those
    that it may download; closes that offer."""
    missing = [one for node in workflow["nodes"] for one in node["properties"].get("models", [])]
    if missing:
        with _missing_models(frontend) as shown:
            for model in missing:
                expect(shown).to_contain_text(model["name"])
                expect(shown).to_contain_text(model["directory"])
            offers = shown.get_by_role("button", name=re.compile("^Download"), disabled=False)
            expect(offers.first).to_be_visible()
            frontend.screenshot("missing-models")
    expect(frontend.page.get_by_role("dialog")).to_have_count(0)


@contextmanager
def _missing_models(frontend: Frontend) -> Iterator[Locator]:
    """Where the front-end lists them: in older ones a dialog, in newer ones a panel to which a
    message leads."""
    page = frontend.page
    dialog = page.get_by_role("dialog")
    details = page.get_by_role("button", name="View details")
    expect(dialog.or_(details)).to_be_visible()
    if dialog.count():
        yield dialog
        page.keyboard.press("Escape")
    else:
        details.click()
        yield page.get_by_test_id("properties-panel")
        page.get_by_role("button", name="Toggle properties panel").click()


def _with_outputs(frontend: Frontend, workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow with the outputs that the core under test has given its nodes since."""
    info = frontend.server.get("/object_info")
    nodes = []
    for node in workflow["nodes"]:
        names = info.get(node["type"], {}).get("output_name", [])
        more = [{"name": name, "links": []} for name in names[len(node["outputs"]) :]]
        nodes.append({**node, "outputs": node["outputs"] + more})
    return {**workflow, "nodes": nodes}


def _saved(workflow: dict[str, Any]) -> Any:
    """What must stay as it is when a workflow is loaded and saved."""
    nodes = [
        {
            "id": node["id"],
            "type": node["type"],
            "title": node.get("title"),
            "place": [round(length) for length in (*node["pos"], node["size"][0])],
            "inputs": [(put["name"], put["type"], put["link"]) for put in node["inputs"]],
            "outputs": [(out["name"], out["links"] or []) for out in node["outputs"]],
            "values": node.get("widgets_values") or [],
        }
        for node in sorted(workflow["nodes"], key=lambda node: node["id"])
    ]
    groups = [(group["title"], group["bounding"]) for group in workflow["groups"]]
    return nodes, sorted(workflow["links"]), groups


def _check_values(frontend: Frontend, workflow: dict[str, Any]) -> None:
    """What the front-end would queue has the values of the file, under the names of the schema."""
    info = frontend.server.get("/object_info")
    for number, node in frontend.prompt().items():
        schema = info[node["class_type"]]["input"]
        inputs = {**schema.get("required", {}), **schema.get("optional", {})}
        assert {*schema.get("required", {})} <= {*node["inputs"]} <= {*inputs}
        for name, value in node["inputs"].items():
            kind, options = inputs[name][0], (inputs[name][1:] or [{}])[0]
            if isinstance(value, list):
                (source,) = [one for one in workflow["nodes"] if one["id"] == int(value[0])]
                assert source["outputs"][value[1]]["type"] == kind, f"{number} {name}"
            elif kind in ("INT", "FLOAT"):
                assert options["min"] <= value <= options["max"], f"{number} {name}"
            elif kind == "STRING":
                assert isinstance(value, str), f"{number} {name}"
            elif name not in FILES:
                choices = kind if isinstance(kind, list) else options["options"]
                assert value in choices, f"{number} {name}"


def _check_layout(frontend: Frontend) -> None:
    """Nothing overlaps, and every node is inside a group or outside all of them."""
    boxes = frontend.page.evaluate(_BOXES)
    for one, other in itertools.combinations(boxes, 2):
        assert not _overlap(_corners(one), _corners(other)), f"{one} and {other}"
    groups = [(x, y, x + w, y + h) for _, x, y, w, h in frontend.page.evaluate(_GROUPS)]
    for one, other in itertools.combinations(groups, 2):
        assert not _overlap(one, other)
    for box in boxes:
        left, top, right, bottom = _corners(box)
        for group in groups:
            inside = group[0] <= left and group[1] <= top and right <= group[2]
            assert not _overlap((left, top, right, bottom), group) or (
                inside and bottom <= group[3]
            ), f"{box} and group {group}"
    assert frontend.page.evaluate(_CUT_OFF) == []


def _corners(box: dict[str, float]) -> tuple[float, float, float, float]:
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > 0 and down > 0


def _check_pictures(frontend: Frontend, names: list[str]) -> None:
    """64 x 64 pixels, not blank; where there are two, they differ."""
    pictures = []
    for name in names:
        with Image.open(frontend.server.base / "output" / name) as picture:
            pictures.append(numpy.asarray(picture.convert("RGB"), dtype=float))
    assert 1 <= len(pictures) <= 2
    assert all(picture.shape == (64, 64, 3) for picture in pictures)
    assert all(picture.std() > 10 for picture in pictures)
    assert len(pictures) == 1 or (pictures[0] != pictures[1]).any()


def _check_training(frontend: Frontend) -> None:
    """Trained for a few steps: the node shows curve and previews, and the pictures differ."""
    name = f"own_{uuid.uuid4().hex[:8]}"
    frontend.page.evaluate(_FEWER_STEPS, name)
    _check_pictures(frontend, frontend.queue())
    panel = frontend.page.locator(".softrepa-training")
    frontend.page.evaluate(_NEARER)  # as small as all of the graph is, the page hides what it holds
    expect(panel).to_contain_text("step 4 of 4")
    expect(panel.locator("img.softrepa-previews")).to_be_visible()
    adapters = frontend.server.base / "models" / "softrepa"
    with Image.open(adapters / f"{name}.previews.png") as strip:
        assert strip.width == 3 * 256
    frontend.settle()
    frontend.screenshot("train-your-own")


def _check_report(frontend: Frontend, trial: dict[str, Any]) -> None:
    """Run with the first two of its prompts: all pictures are painted and scored, and the node
    shows the report's answer."""
    frontend.page.evaluate(_FEWER_PROMPTS)
    frontend.queue()
    folder = frontend.server.base / "output" / "softrepa" / "trials" / trial["name"]
    assert len(list((folder / "pictures").glob("*/*.png"))) == 4
    assert len((folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()) == 4
    assert "SoftREPA" in (folder / "report.html").read_text(encoding="utf-8")
    frontend.screenshot("does-it-help")
    shutil.rmtree(folder)  # another front-end begins it anew


def _complaints(frontend: Frontend) -> list[tuple[str, str, str]]:
    return [
        complaint
        for complaint in frontend.complaints()
        if not any(known in complaint[1] + complaint[2] for known in _OF_DOWNLOADS)
    ]
