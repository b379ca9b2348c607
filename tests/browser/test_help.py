"""The help pages as the front-end shows them beside the canvas, with their pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from comfyui_softrepa.tests.browser.graphs import PLACES, demo_graph
from playwright.sync_api import expect

DOCS = Path(__file__).resolve().parents[2] / "web" / "docs"
PICTURED = {"SoftREPALoader": "2", "SoftREPAApply": "3", "SoftREPASchedule": "10"}
"""Node -> its id in the graph."""
# To the right of where the help opens.
_SELECT = """id => {
    const { canvas, graph } = window.app
    const node = graph.getNodeById(id)
    canvas.ds.offset = [850 - node.pos[0], 250 - node.pos[1]]
    canvas.selectItems([node])
}"""


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_help_opens_with_its_picture(open_page, locale):
    frontend = open_page(**{"Comfy.Locale": locale})
    frontend.load_api(demo_graph(keyframes="0:1, 1:0"), PLACES)
    for name, number in PICTURED.items():
        page = DOCS / f"{name}.md" if locale == "en" else DOCS / name / f"{locale}.md"
        title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        frontend.page.evaluate(_SELECT, number)
        frontend.page.get_by_test_id("info-button").click()
        shown = frontend.page.locator(".node-help-content")
        expect(shown.get_by_role("heading", name=title)).to_be_visible()
        picture = shown.locator("img")
        expect(picture).to_have_attribute("src", re.compile(rf"/docs/images/{name}.png$"))
        expect(picture).to_have_js_property("naturalWidth", 360)
        frontend.screenshot(f"help-{name}-{locale}")
    # The front-end asks for NAME/en.md before NAME.md.
    assert not [c for c in frontend.complaints() if not c[2].endswith("/en.md")]


def test_no_picture_is_missing_or_left_over():
    shown = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"!\[[^]]+\]\(images/([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert shown == {path.name for path in (DOCS / "images").iterdir()} and shown
