"""What the demo gives the trainer, and its training."""
