"""Photographs nodes as the front-end draws them, and an adapter's chart, for the help pages."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from comfyui_softrepa.host.frontend import Frontend
from comfyui_softrepa.nodes.adapters.chart import draw_norms
from comfyui_softrepa.softrepa import files
from PIL import Image

from ..files import FOLDER
from .running import demo_frontend, in_demo_world

TARGET = FOLDER.parent / "web" / "docs" / "images"
NODES = ("SoftREPALoader", "SoftREPAApply", "SoftREPASchedule")
WORKFLOW = "softrepa_schedule_and_blocks"
COLOURS = 64
_MARGIN, _BADGE = 10, 26
"""Around a node, and above it for the name of its pack, in pixels."""
# Moves the node clear of the front-end's own bars, and gives its outline on the page.
_OUTLINE = """kind => {
    const { canvas, graph } = window.app
    const node = graph.nodes.find(node => node.type === kind)
    const title = window.LiteGraph.NODE_TITLE_HEIGHT
    canvas.ds.scale = 1
    canvas.ds.offset = [400 - node.pos[0], 200 - node.pos[1]]
    canvas.setDirty(true, true)
    const { left, top } = canvas.canvas.getBoundingClientRect()
    const [width, height] = node.size
    return { x: left + 400, y: top + 200 - title, width, height: height + title }
}"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python demo/workflows help_pictures", description=__doc__
    )
    parser.add_argument("--adapter", type=Path, required=True, help="for the demo checkpoint")
    given = parser.parse_args(arguments)
    TARGET.mkdir(exist_ok=True)
    _shrink(draw_norms(files.read(given.adapter)), TARGET / "SoftREPAInfo.png")
    with demo_frontend(given.adapter) as frontend:
        workflow = json.loads((FOLDER / f"{WORKFLOW}.json").read_text(encoding="utf-8"))
        frontend.load(in_demo_world(workflow, ()))
        frontend.page.locator(".softrepa-block").first.wait_for()
        frontend.page.set_viewport_size({"width": 1440, "height": 900})
        for kind in NODES:
            _photograph(frontend, kind, TARGET / f"{kind}.png")


def _photograph(frontend: Frontend, kind: str, path: Path) -> None:
    box = frontend.page.evaluate(_OUTLINE, kind)
    frontend.settle(20)
    clip = {
        "x": box["x"] - _MARGIN,
        "y": box["y"] - _BADGE,
        "width": box["width"] + 2 * _MARGIN,
        "height": box["height"] + _BADGE + _MARGIN,
    }
    frontend.page.screenshot(path=path, clip=clip)
    with Image.open(path) as picture:
        _shrink(picture.convert("RGB"), path)


def _shrink(picture: Image.Image, path: Path) -> None:
    """Few colours: a page of help is to load at once."""
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}  {path.stat().st_size} bytes")
