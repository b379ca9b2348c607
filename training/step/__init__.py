"""One step: which pictures and captions it draws, and their gradients, over all processes."""
