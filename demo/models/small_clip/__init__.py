"""A small CLIP that has learned the demo world: the file, and its training."""
