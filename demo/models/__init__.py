"""What was trained for the demo and is kept: bases, adapters, a small CLIP."""
