"""What scorers are made of: models from files, on ComfyUI's devices. Needs torch."""
