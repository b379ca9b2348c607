"""What makes the second base model, a Flux: its network, its training, its files."""
