"""Painting on a running server, by ComfyUI's API alone."""

from .painting import paint

__all__ = ["paint"]
