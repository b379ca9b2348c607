"""Pictures of the workflows and of the nodes, from a real ComfyUI."""
