"""Nodes that lead the sampling of a model."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from .attend import SoftREPAAttendAndExcite
from .focus import SoftREPAFocus

GUIDANCE_NODES: list[type[io.ComfyNode]] = [SoftREPAAttendAndExcite, SoftREPAFocus]
