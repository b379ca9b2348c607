"""Changing a picture with a flow model: the steps as arithmetic, and ComfyUI's way to run them."""
