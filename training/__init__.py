"""The companion trainer: a folder of images and captions in, an adapter out.

ComfyUI is used as a library. Importing this package does not import it: see `comfyui`.
"""
