"""What the front-end knows of a node type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CORE, PACK = "comfy-core", "softrepa"
"""What ComfyUI-Manager calls the packs that the nodes come from."""
ANY_FILE = "COMBO"


@dataclass(frozen=True)
class NodeType:
    """One node type, in the order of the front-end.

    sockets: inputs that only a link can fill, name -> type. optional: those of them that may stay
    empty. widgets: name -> (type, default). outputs: name -> type. seed: the widget that the
    front-end follows with a second one, for what happens to its value after each run. size: width
    and height of the classic renderer, tall: the height where Vue nodes are on.
    """

    sockets: dict[str, str] = field(default_factory=dict)
    widgets: dict[str, tuple[str, Any]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (240, 60)
    tall: int = 90
    optional: frozenset[str] = frozenset()
    seed: str | None = None
    pack: str = CORE
