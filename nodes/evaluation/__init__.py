"""Nodes that find out whether an adapter helps: trials, scorers, report."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from .report import SoftREPAReport

EVALUATION_NODES: list[type[io.ComfyNode]] = [SoftREPAReport]
