"""Painting a trial's pictures through ComfyUI: the one part of evaluation that imports it."""
