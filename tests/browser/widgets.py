"""A node's own widgets, used as a user does: with mouse and keyboard, in both renderers."""

from __future__ import annotations

from typing import Any

from comfyui_softrepa.host.frontend import Frontend
from playwright.sync_api import Locator, expect

# The page's own coordinates of a widget that the canvas draws.
_PLACE = """([id, name]) => {
    const { canvas, graph } = window.app
    const node = graph.getNodeById(id)
    const widget = node.widgets.find(widget => widget.name === name)
    const { left, top } = canvas.canvas.getBoundingClientRect()
    const { offset, scale } = canvas.ds
    return {
        x: left + (node.pos[0] + node.size[0] / 2 + offset[0]) * scale,
        y: top + (node.pos[1] + widget.y + 10 + offset[1]) * scale,
    }
}"""
_ELEMENT = """([id, name]) => window.app.graph.getNodeById(id).widgets
    .find(widget => widget.name === name).element ?? null"""
_VALUE = """([id, name]) =>
    window.app.graph.getNodeById(id).widgets.find(widget => widget.name === name).value"""


def value(frontend: Frontend, node: int, widget: str) -> Any:
    """What the widget is set to."""
    return frontend.page.evaluate(_VALUE, [node, widget])


def choose(frontend: Frontend, node: int, widget: str, option: str) -> None:
    """Picks an option of a list."""
    page = frontend.page
    if _vue(frontend):
        field(frontend, node, widget).click()
        options = page.get_by_role("option")
        options.filter(has_text=option).click()
        expect(options).to_have_count(0)  # it fades, and the next list would be open beside it
    else:
        _click(frontend, node, widget)
        page.locator(".litecontextmenu .litemenu-entry", has_text=option).click()
    frontend.settle()
    assert value(frontend, node, widget) == option


def write(frontend: Frontend, node: int, widget: str, text: str) -> None:
    """Types a text, in place of what is there, and leaves the field."""
    page = frontend.page
    element = page.evaluate_handle(_ELEMENT, [node, widget]).as_element()
    if _vue(frontend):
        entry = field(frontend, node, widget)
    elif element is not None:
        entry = element
    else:
        _click(frontend, node, widget)
        entry = page.locator(".graphdialog .value")
    entry.fill(text)
    entry.press("Tab" if element is not None or _vue(frontend) else "Enter")
    frontend.settle()
    assert value(frontend, node, widget) == text


def field(frontend: Frontend, node: int, widget: str) -> Locator:
    """The control of this name in a Vue node."""
    box = frontend.page.locator(f"[data-node-id='{node}']")
    if frontend.page.evaluate_handle(_ELEMENT, [node, widget]).as_element() is not None:
        return box.locator("textarea").first  # has no label of its own
    named = box.locator(".lg-node-widget", has=frontend.page.get_by_text(widget, exact=True))
    return named.locator("input, textarea, [role=combobox]").first


def drag(frontend: Frontend, handle: Locator, right: float, down: float) -> None:
    """Drags something of ours by pixels of the page."""
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = frontend.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right / 2, y + down / 2)
    mouse.move(x + right, y + down)
    mouse.up()
    frontend.settle()


def _vue(frontend: Frontend) -> bool:
    return frontend.page.evaluate("() => Boolean(window.LiteGraph.vueNodesMode)")


def _click(frontend: Frontend, node: int, widget: str) -> None:
    place = frontend.page.evaluate(_PLACE, [node, widget])
    frontend.page.mouse.click(place["x"], place["y"])
