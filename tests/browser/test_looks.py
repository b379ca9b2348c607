"""Panels stay inside their nodes, are legible, and speak the front-end's language.

Leaves build/browser/<version>/<renderer>-<theme>-<locale>.png and warning-….png to look at.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comfyui_softrepa.host.frontend import CLASSIC, VUE, Frontend
from comfyui_softrepa.host.frontend_package import NEWEST
from comfyui_softrepa.tests.browser.graphs import PLACES, demo_graph
from playwright.sync_api import expect

LOCALES = Path(__file__).resolve().parents[2] / "locales"
_NODE_TEXTS = """() => window.app.graph.nodes.filter(node => /^SoftREPA/.test(node.type))
    .map(node => [node.type, node.title, Object.fromEntries(
        node.inputs.map(input => [input.name, input.localized_name ?? input.label ?? input.name]))])
"""
# Elements of ours that reach beyond their panel, or beyond the node in which it lies.
_OUTSIDE = """() => [...document.querySelectorAll('.softrepa')].flatMap(panel => {
    const frame = (panel.closest('.lg-node') ?? panel).getBoundingClientRect()
    return [...panel.querySelectorAll('div, button, span')].filter(one => {
        const box = one.getBoundingClientRect()
        return box.width && !panel.matches('.softrepa-info') && (box.left < frame.left - 1 ||
            box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
    }).map(one => one.className)
})"""
# The lowest contrast (WCAG) between a text of ours and the colours that lie behind it.
_CONTRAST = """() => {
    const parse = color => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d')
        canvas.fillStyle = color
        canvas.fillRect(0, 0, 1, 1)
        return [...canvas.getImageData(0, 0, 1, 1).data]
    }
    const light = ([red, green, blue]) => [red, green, blue].map(part => {
        const share = part / 255
        return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    }).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0)
    const behind = element => {
        for (let one = element; one; one = one.parentElement) {
            const found = parse(getComputedStyle(one).backgroundColor)
            if (found[3] > 250) return found
        }
        return parse(getComputedStyle(document.documentElement)
            .getPropertyValue('--comfy-menu-bg').trim() || '#000')
    }
    const ratios = [...document.querySelectorAll('.softrepa-heading, .softrepa-line')].map(one => {
        const [text, ground] = [light(parse(getComputedStyle(one).color)), light(behind(one))]
        return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05)
    })
    return Math.min(...ratios)
}"""


@pytest.mark.parametrize(
    ("renderer", "theme", "locale", "word"),
    [
        (CLASSIC, "dark", "en", "blocks"),
        (VUE, "light", "ja", "ブロック"),
        (CLASSIC, "light", "zh", "块"),
        (VUE, "dark", "ko", "블록"),
    ],
    ids=lambda value: value if value.isascii() else "",
)
def test_themes_and_languages(open_page, renderer, theme, locale, word):
    settings = {"Comfy.ColorPalette": theme, "Comfy.Locale": locale}
    frontend = open_page(renderer, **settings)
    graph = demo_graph(
        adapter="raw.safetensors", layers="0,1:0.6", keyframes="0:0.4, 0.25:1, 0.6:1, 1:0"
    )
    frontend.load_api(graph, PLACES)
    expect(frontend.page.locator(".softrepa-block")).to_have_count(3)
    expect(frontend.page.locator(".softrepa-strip .softrepa-head")).to_contain_text(word)
    expect(frontend.page.locator(".softrepa-info")).to_contain_text("MMDiT")
    frontend.page.wait_for_load_state("networkidle")
    frontend.screenshot(f"{renderer}-{theme}-{locale}")
    assert frontend.page.evaluate(_OUTSIDE) == []
    assert frontend.page.evaluate(_CONTRAST) > 3
    if _translates_nodes(frontend.version):
        _check_node_texts(frontend, locale)
    assert not frontend.complaints()


def _translates_nodes(version: str) -> bool:
    """Front-ends before 1.35 leave the texts of a pack's nodes as the server gives them."""
    return version == NEWEST or tuple(map(int, version.split("."))) >= (1, 35)


def _check_node_texts(frontend: Frontend, locale: str) -> None:
    """Titles and inputs are those of locales/."""
    texts = json.loads((LOCALES / locale / "nodeDefs.json").read_text(encoding="utf-8"))
    shown = frontend.page.evaluate(_NODE_TEXTS)
    assert len(shown) == 3
    for kind, title, inputs in shown:
        assert title == texts[kind]["display_name"]
        assert inputs == {name: texts[kind]["inputs"][name]["name"] for name in inputs}


def test_a_warning_and_many_blocks_have_room(both, request):
    both.load_api(demo_graph(adapter="sdxl.safetensors"), PLACES)
    expect(both.page.locator(".softrepa-warning")).to_have_count(2)
    both.settle()
    both.screenshot(f"warning-{request.node.callspec.id}")
    assert both.page.evaluate(_OUTSIDE) == []
    plot = both.page.locator(".softrepa-controls .softrepa-plot").bounding_box()
    assert plot["height"] >= 40
