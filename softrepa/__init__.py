"""SoftREPA's soft text tokens as data: the adapter value, its arithmetic and its files.

Pure torch and safetensors. Nothing here imports ComfyUI or keeps global state.
"""
