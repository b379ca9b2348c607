"""Builds a workflow in the front-end's own format: nodes, links, groups and notes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .node_types import CORE, TYPES, NodeType

Point = tuple[int, int]
Json = dict[str, Any]

FRONTEND = "1.32.9"
CORE_VERSION = "0.3.75"
TITLE = 30
"""Height of a node's title, which lies above its place."""
NOTE_COLOUR = {"color": "#432", "bgcolor": "#653"}
_OPTIONAL_SHAPE = 7
_NAMESPACE = uuid.UUID("5d0f3f5e-6d0b-4b0e-9d0b-50f73e9a0001")
_SCREEN = (1330, 740)
"""Of the canvas that a workflow is fitted into when it opens, in pixels."""


@dataclass(frozen=True)
class Node:
    """A placed node; link to an output of it with node["MODEL"]."""

    id: int
    kind: str
    place: Point
    size: Point

    def __getitem__(self, output: str) -> Output:
        return self, output

    @property
    def bottom(self) -> int:
        """The lower edge in either renderer."""
        tall = TYPES[self.kind].tall if self.kind in TYPES else 0
        return self.place[1] + max(self.size[1], tall)


Output = tuple[Node, str]
"""A node, and the name of one of its outputs."""


class Workflow:
    """A workflow under construction.

    name: of the file, without its ending. A node's place is its upper left corner, below its title.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Json] = []
        self._links: list[list[Any]] = []
        self._groups: list[Json] = []
        self._corners: list[tuple[int, int, int, int]] = []

    def node(
        self,
        kind: str,
        place: Point,
        links: dict[str, Output] | None = None,
        *,
        title: str | None = None,
        size: Point | None = None,
        after_run: str = "fixed",
        models: Iterable[Json] = (),
        colour: tuple[str, str] | None = None,
        **values: Any,
    ) -> Node:
        """Adds a node. links: input -> output of another node. values: of widgets, by name.

        after_run: what the front-end does to a seed after each run. models: where the files it
        names are to be had and belong (name, url, directory). colour: of its title and body.
        """
        known = TYPES[kind]
        unknown = {*values} - {*known.widgets} | {*(links or {})} - {*known.sockets, *known.widgets}
        if unknown:
            raise ValueError(f"{kind} has no input {', '.join(sorted(unknown))}.")
        node = Node(len(self._nodes) + 1, kind, place, size or known.size)
        entry = self._entry(node, title)
        entry["inputs"] = self._inputs(node, known, links or {})
        entry["outputs"] = [
            {"name": name, "type": type_, "links": []} for name, type_ in known.outputs.items()
        ]
        entry["properties"] = _properties(kind, known, list(models))
        entry["widgets_values"] = _values(known, values, after_run)
        if colour:
            entry["color"], entry["bgcolor"] = colour
        return node

    def note(self, title: str, place: Point, text: str, width: int = 340) -> Node:
        """Adds a MarkdownNote, high enough for its text."""
        size = (width, note_height(text, width))
        node = Node(len(self._nodes) + 1, "MarkdownNote", place, size)
        entry = self._entry(node, title)
        entry |= {"inputs": [], "outputs": [], "properties": {}, "widgets_values": [text.strip()]}
        entry |= NOTE_COLOUR
        return node

    def group(self, title: str, nodes: Iterable[Node], colour: str = "#3f789e") -> None:
        """Draws a titled frame around these nodes."""
        nodes = list(nodes)
        left = min(node.place[0] for node in nodes) - 15
        top = min(node.place[1] for node in nodes) - TITLE - 45
        right = max(node.place[0] + node.size[0] for node in nodes) + 15
        bottom = max(node.bottom for node in nodes) + 15
        bounding = [left, top, right - left, bottom - top]
        self._groups.append({
            "id": len(self._groups) + 1,
            "title": title,
            "bounding": bounding,
            "color": colour,
            "font_size": 24,
            "flags": {},
        })  # fmt: skip
        self._corners.append((left, top, right, bottom))

    def json(self) -> Json:
        """The whole workflow, as the front-end would save it."""
        for order, entry in enumerate(self._sorted()):
            entry["order"] = order
        return {
            "id": str(uuid.uuid5(_NAMESPACE, self.name)),
            "revision": 0,
            "last_node_id": len(self._nodes),
            "last_link_id": len(self._links),
            "nodes": self._nodes,
            "links": self._links,
            "groups": self._groups,
            "config": {},
            "extra": {"ds": self._view(), "frontendVersion": FRONTEND},
            "version": 0.4,
        }

    def _entry(self, node: Node, title: str | None) -> Json:
        entry: Json = {
            "id": node.id,
            "type": node.kind,
            "pos": list(node.place),
            "size": list(node.size),
            "flags": {},
            "order": 0,
            "mode": 0,
        }
        if title:
            entry["title"] = title
        self._nodes.append(entry)
        left, top = node.place
        self._corners.append((left, top - TITLE, left + node.size[0], node.bottom))
        return entry

    def _inputs(self, node: Node, known: NodeType, links: dict[str, Output]) -> list[Json]:
        types = {**known.sockets, **{name: kind for name, (kind, _) in known.widgets.items()}}
        inputs = []
        for slot, (name, type_) in enumerate(types.items()):
            entry: Json = {"name": name, "type": type_}
            if name in known.optional:
                entry["shape"] = _OPTIONAL_SHAPE
            if name in known.widgets:
                entry["widget"] = {"name": name}
            entry["link"] = self._link(node, slot, *links[name]) if name in links else None
            inputs.append(entry)
        return inputs

    def _link(self, target: Node, slot: int, source: Node, output: str) -> int:
        outputs = self._nodes[source.id - 1]["outputs"]
        position = [entry["name"] for entry in outputs].index(output)
        number = len(self._links) + 1
        outputs[position]["links"].append(number)
        kind = outputs[position]["type"]
        self._links.append([number, source.id, position, target.id, slot, kind])
        return number

    def _sorted(self) -> list[Json]:
        """The nodes in an order in which they can run: sources are always added first, so notes and
        loaders come before what they feed."""
        return sorted(self._nodes, key=lambda entry: (self._depth(entry["id"]), entry["id"]))

    def _depth(self, number: int) -> int:
        sources = [link[1] for link in self._links if link[3] == number]
        return 1 + max(map(self._depth, sources), default=-1)

    def _view(self) -> Json:
        lefts, tops, rights, bottoms = zip(*self._corners, strict=True)
        width, height = max(rights) - min(lefts), max(bottoms) - min(tops)
        scale = round(min(1.0, _SCREEN[0] / width, _SCREEN[1] / height), 3)
        offset = [round(85 / scale) - min(lefts), round(125 / scale) - min(tops)]
        return {"scale": scale, "offset": offset}


def note_height(text: str, width: int) -> int:
    """About the height of a note where Vue nodes are on, whose letters are the larger ones."""
    shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text.strip()).replace("**", "")
    height = 50
    for paragraph in re.split(r"\n\s*\n", shown):
        lines = paragraph.split("\n")
        code = lines[0].startswith("```")
        wrapped = len(lines) if code else sum(-(-len(line) * 8 // width) for line in lines)
        height += 18 * wrapped + 8
    return height


def _properties(kind: str, known: NodeType, models: list[Json]) -> Json:
    properties: Json = {"Node name for S&R": kind, "cnr_id": known.pack}
    if known.pack == CORE:
        properties["ver"] = CORE_VERSION
    return {**properties, "models": models} if models else properties


def _values(known: NodeType, values: dict[str, Any], after_run: str) -> list[Any]:
    result = []
    for name, (_, default) in known.widgets.items():
        result.append(values.get(name, default))
        if name == known.seed:
            result.append(after_run)
    return result
