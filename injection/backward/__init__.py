"""What a backward pass through ComfyUI's models wants: weights that a graph can keep."""
