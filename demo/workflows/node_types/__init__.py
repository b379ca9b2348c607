"""The sockets and widgets of every node type that the example workflows use."""

from .core import CORE_TYPES
from .node_type import CORE, NodeType
from .softrepa import SOFTREPA_TYPES

TYPES: dict[str, NodeType] = {**CORE_TYPES, **SOFTREPA_TYPES}

__all__ = ["CORE", "TYPES", "NodeType"]
